using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.State;

namespace Quorumail.Cluster;

/// <summary>Proposes the store's commands to the node's log.</summary>
internal sealed class ClusterNodeProposer(ClusterNode node) : IStateProposer
{
    public long ClusterTime => node.ClusterTime;

    public bool Leads => node.Leads;

    public ValueTask<ProposalResult> ProposeAsync(ReadOnlyMemory<byte> command, CancellationToken token) =>
        node.ProposeAsync(CommandTarget.Store, command, token);

    public ValueTask ReadBarrierAsync(CancellationToken token) => node.ReadBarrierAsync(token);
}
