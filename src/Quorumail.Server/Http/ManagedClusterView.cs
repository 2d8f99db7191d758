using System.Text.RegularExpressions;
using Quorumail.Cluster;
using Quorumail.Cluster.State;
using Quorumail.Server.Replication;

namespace Quorumail.Server.Http;

/// <summary>A node of a cluster, as the administration interface sees it.</summary>
/// <param name="manager">The node.</param>
/// <param name="drain">Knows what of the queue depends on a node; null if there is no queue.</param>
internal sealed partial class ManagedClusterView(ClusterManager manager, NodeDrain? drain = null) : IClusterView
{
    public bool IsCluster => true;

    public ClusterStats Stats => manager.GetClusterStats();

    public ClusterNodeView LocalNode => manager.LocalNode;

    public IReadOnlyList<ClusterNodeView> Nodes => manager.Nodes;

    public long Term => manager.Term;

    public long CommitIndex => manager.Node?.CommitIndex ?? 0;

    public long AppliedIndex => manager.Node?.AppliedIndex ?? 0;

    public bool HasQuorum => manager.HasQuorum;

    public string? Obstacle => manager.Obstacle;

    public long LeaderElections => manager.LeaderElections;

    public ReplicationStats Replication => manager.Replication;

    public StateStore? Store => manager.Node is null ? null : manager.StateStore;

    public IReadOnlyList<ClusterEventView> Events =>
        [.. manager.Events.Select(happened => new ClusterEventView(happened.Time, SnakeCase(happened.Kind.ToString()), happened.Term, happened.Text))];

    public IReadOnlyList<FrameCount> Frames =>
        [.. manager.Frames.Select(frames => new FrameCount(SnakeCase(frames.Type.ToString()), frames.Sent, frames.Received))];

    public IReadOnlyList<(string Reason, long Count)> RefusedHandshakes =>
        [.. manager.RefusedHandshakes.Select(refused => (SnakeCase(refused.Reason.ToString()), refused.Count))];

    public Task StartElectionAsync(CancellationToken token) => manager.StartLeaderElectionAsync(token);

    public Task TransferAsync(string? target, CancellationToken token) => manager.TransferLeadershipAsync(target, token);

    public Task JoinAsync(string address, CancellationToken token) => manager.JoinAsync(address, token);

    public async Task LeaveAsync(bool force, CancellationToken token)
    {
        await PartAsync(manager.NodeId, force, token);
        await manager.LeaveAsync(token);
    }

    public async Task RemoveAsync(string nodeId, bool force, CancellationToken token)
    {
        await PartAsync(nodeId, force, token);
        await manager.RemoveAsync(nodeId, token);
    }

    public Task DrainAsync(string nodeId, CancellationToken token) => Drain.BeginAsync(nodeId, token);

    public Task CancelDrainAsync(string nodeId, CancellationToken token) => Drain.CancelAsync(nodeId, token);

    public DrainProgress LookAtDrain(string nodeId) => Drain.Look(nodeId);

    private NodeDrain Drain => drain ?? throw new InvalidOperationException("this node has no queue");

    private Task PartAsync(string nodeId, bool force, CancellationToken token) =>
        drain is null ? Task.CompletedTask : drain.PartAsync(nodeId, force, token);

    private static string SnakeCase(string name) => WordStart().Replace(name, "_").ToLowerInvariant();

    [GeneratedRegex("(?<=[a-z0-9])(?=[A-Z])", RegexOptions.None, matchTimeoutMilliseconds: 1000)]
    private static partial Regex WordStart();
}
