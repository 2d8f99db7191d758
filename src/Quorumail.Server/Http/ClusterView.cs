using System.Text.Json;
using Quorumail.Cluster;
using Quorumail.Cluster.State;

namespace Quorumail.Server.Http;

/// <summary>The cluster that this node is part of.</summary>
internal sealed class ClusterView(ClusterManager cluster) : IClusterView
{
    public bool IsCluster => true;

    public ClusterStats Stats => cluster.GetClusterStats();

    public ClusterNodeView LocalNode => cluster.LocalNode;

    public IReadOnlyList<ClusterNodeView> Nodes => cluster.Nodes;

    public long Term => cluster.Term;

    public long CommitIndex => cluster.Node?.CommitIndex ?? 0;

    public long AppliedIndex => cluster.Node?.AppliedIndex ?? 0;

    public bool HasQuorum => cluster.HasQuorum;

    public string? Obstacle => cluster.Obstacle;

    public long LeaderElections => cluster.LeaderElections;

    public ReplicationStats Replication => cluster.Replication;

    public StateStore? Store => cluster.Node is null ? null : cluster.StateStore;

    public IReadOnlyList<ClusterEventView> Events =>
        [.. cluster.Events.Select(happened => new ClusterEventView(happened.Time, Name(happened.Kind), happened.Term, happened.Text))];

    public IReadOnlyList<FrameCount> Frames => [.. cluster.Frames.Select(count => new FrameCount(Name(count.Type), count.Sent, count.Received))];

    public IReadOnlyList<(string Reason, long Count)> RefusedHandshakes =>
        [.. cluster.RefusedHandshakes.Select(refused => (Name(refused.Reason), refused.Count))];

    public Task StartElectionAsync(CancellationToken token) => cluster.StartLeaderElectionAsync(token);

    public Task TransferAsync(string? target, CancellationToken token) => cluster.TransferLeadershipAsync(target, token);

    public Task JoinAsync(string address, CancellationToken token) => cluster.JoinAsync(address, token);

    public Task LeaveAsync(CancellationToken token) => cluster.LeaveAsync(token);

    public Task RemoveAsync(string nodeId, CancellationToken token) => cluster.RemoveAsync(nodeId, token);

    private static string Name<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString());
}
