using Quorumail.Cluster;
using Quorumail.Cluster.State;
using Quorumail.Core.Cluster;
using Quorumail.Server.Http;

namespace Quorumail.Server.Tests.Http;

/// <summary>A cluster of three as the guide's examples show it.</summary>
internal sealed class ScriptedCluster : IClusterView
{
    private static readonly HeartbeatMetadata Metadata = new("v0.26.0", 3600, 42, 1500, 45.2, 128);

    public bool IsCluster => true;

    public ClusterStats Stats { get; set; } = new(3, 3, 1, "node1");

    public ClusterNodeView LocalNode => Nodes[0];

    public IReadOnlyList<ClusterNodeView> Nodes { get; set; } =
    [
        new("node1", "192.168.1.101", 9000, NodeRole.Leader, NodeStatus.Healthy, "") { LastHeartbeat = 1234567890, Metadata = Metadata, Incarnation = 1, Lag = 0 },
        new("node2", "192.168.1.102", 9000, NodeRole.Follower, NodeStatus.Degraded, "a round trip takes 80 ms (more than 50)")
        {
            LastHeartbeat = 1234567891, Metadata = Metadata, Incarnation = 2, Lag = 5, RoundTrip = TimeSpan.FromMilliseconds(80),
        },
        new("node3", "192.168.1.103", 9000, NodeRole.Follower, NodeStatus.Disconnected, "never heard of since this node started") { Incarnation = 3 },
    ];

    public long Term => 7;

    public long CommitIndex => 100;

    public long AppliedIndex => 99;

    public bool HasQuorum { get; set; } = true;

    public string? Obstacle { get; set; }

    public long LeaderElections => 2;

    public ReplicationStats Replication { get; set; } = new(1523, 3, 1, TimeSpan.FromMilliseconds(5.125));

    public StateStore? Store { get; set; }

    public IReadOnlyList<ClusterEventView> Events { get; } =
    [
        new(DateTimeOffset.UnixEpoch, "leader_missed", 6, "no word of node3 for 1.4 s"),
        new(DateTimeOffset.UnixEpoch.AddSeconds(1), "election_won", 7, "elected by node2\u001b[31m"),
    ];

    public IReadOnlyList<FrameCount> Frames => [new("heartbeat", 10, 20)];

    public IReadOnlyList<(string Reason, long Count)> RefusedHandshakes => [("token", 4)];

    /// <summary>What was asked for.</summary>
    public List<string> Asked { get; } = [];

    /// <summary>What it ends with.</summary>
    public Exception? Failure { get; set; }

    public Task StartElectionAsync(CancellationToken token) => Do("election");

    public Task TransferAsync(string? target, CancellationToken token) => Do($"transfer {target ?? "anyone"}");

    public Task JoinAsync(string address, CancellationToken token) => Do($"join {address}");

    /// <summary>What depends on a node; each look takes the next, and the last again and again.</summary>
    public Queue<DrainProgress> Drains { get; } = new([new("node1", true, "another", 0, 0, default, 2, null)]);

    public Task LeaveAsync(bool force, CancellationToken token) => Do(force ? "leave by force" : "leave");

    public Task RemoveAsync(string nodeId, bool force, CancellationToken token) => Do($"remove {nodeId}{(force ? " by force" : "")}");

    public Task DrainAsync(string nodeId, CancellationToken token) => Do($"drain {nodeId}");

    public Task CancelDrainAsync(string nodeId, CancellationToken token) => Do($"cancel drain {nodeId}");

    public DrainProgress LookAtDrain(string nodeId) =>
        (Drains.Count > 1 ? Drains.Dequeue() : Drains.Peek()) is { } progress && Nodes.Any(node => node.Id == nodeId)
            ? progress with { Node = nodeId }
            : throw new KeyNotFoundException($"no node {nodeId} in this cluster");

    private Task Do(string what)
    {
        Asked.Add(what);
        return Failure is null ? Task.CompletedTask : Task.FromException(Failure);
    }
}
