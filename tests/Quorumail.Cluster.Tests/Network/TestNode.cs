using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests.Network;

/// <summary>A node of a <see cref="TestCluster"/>.</summary>
internal sealed record TestNode(ClusterNode Node, MemoryState State)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public string Name => Node.NodeId;

    public Task StartAsync() => Node.StartAsync(Token);

    public async Task<ProposalResult> ProposeAsync(int value, TimeSpan? patience = null)
    {
        using CancellationTokenSource late = CancellationTokenSource.CreateLinkedTokenSource(Token);
        late.CancelAfter(patience ?? TimeSpan.FromSeconds(20));
        return await Node.ProposeAsync(BitConverter.GetBytes(value), late.Token);
    }

    /// <summary>The numbers applied, in order.</summary>
    public int[] Numbers => [.. State.Applied.Select(a => BitConverter.ToInt32(a.Command))];
}
