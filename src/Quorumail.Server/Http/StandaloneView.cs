using Quorumail.Cluster;
using Quorumail.Cluster.Health;
using Quorumail.Cluster.State;
using Quorumail.Core.Cluster;

namespace Quorumail.Server.Http;

/// <summary>A node that stands alone, seen as a cluster of one: it leads itself.</summary>
internal sealed class StandaloneView(string nodeId, ServerStatus status, TimeProvider clock) : IClusterView
{
    private const string Alone = "this node stands alone: [cluster] enabled is false";

    private readonly Lock _sync = new();
    private readonly ProcessLoad _load = new(clock, warning: 1);

    public bool IsCluster => false;

    public ClusterStats Stats
    {
        get
        {
            var node = LocalNode;
            return new ClusterStats(1, node.Status == NodeStatus.Unhealthy ? 0 : 1, 0, nodeId);
        }
    }

    public ClusterNodeView LocalNode
    {
        get
        {
            var reasons = status.NotReadyReasons();
            return new ClusterNodeView(
                nodeId, "", 0, NodeRole.Leader, reasons.Count == 0 ? NodeStatus.Healthy : NodeStatus.Unhealthy, string.Join("; ", reasons))
            {
                LastHeartbeat = clock.GetUtcNow().ToUnixTimeSeconds(),
                Metadata = new HeartbeatMetadata(
                    "v" + ServerStatus.Version,
                    (long)status.Uptime.TotalSeconds,
                    (long)Metrics.ConnectionsActive.Value,
                    (long)Metrics.MessagesReceived.Value,
                    CpuPercent(),
                    ProcessLoad.ResidentMebibytes),
                MatchedIndex = CommitIndex,
                Lag = 0,
            };
        }
    }

    public IReadOnlyList<ClusterNodeView> Nodes => [LocalNode];

    public long Term => status.Queue?.Term() ?? 0;

    public long CommitIndex => status.Queue?.CommitIndex() ?? 0;

    public long AppliedIndex => status.Queue?.AppliedIndex() ?? 0;

    public bool HasQuorum => status.Queue is not null;

    public string? Obstacle => null;

    public long LeaderElections => 0;

    public ReplicationStats Replication => default;

    public StateStore? Store => null;

    public IReadOnlyList<ClusterEventView> Events => [];

    public IReadOnlyList<FrameCount> Frames => [];

    public IReadOnlyList<(string Reason, long Count)> RefusedHandshakes => [];

    public Task StartElectionAsync(CancellationToken token) => RefuseAsync();

    public Task TransferAsync(string? target, CancellationToken token) => RefuseAsync();

    public Task JoinAsync(string address, CancellationToken token) => RefuseAsync();

    public Task LeaveAsync(bool force, CancellationToken token) => RefuseAsync();

    public Task RemoveAsync(string nodeId, bool force, CancellationToken token) => RefuseAsync();

    public Task DrainAsync(string nodeId, CancellationToken token) => RefuseAsync();

    public Task CancelDrainAsync(string nodeId, CancellationToken token) => RefuseAsync();

    public DrainProgress LookAtDrain(string nodeId) => throw new InvalidOperationException(Alone);

    private double CpuPercent()
    {
        lock (_sync)
        {
            _load.Sample();
            return _load.CpuPercent;
        }
    }

    private static Task RefuseAsync() => Task.FromException(new InvalidOperationException(Alone));
}
