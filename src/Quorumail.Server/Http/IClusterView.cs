using Quorumail.Cluster;
using Quorumail.Cluster.State;

namespace Quorumail.Server.Http;

/// <summary>What the administration interface sees of the cluster: of several nodes, or of one that stands alone.</summary>
internal interface IClusterView
{
    /// <summary>False: this node stands alone.</summary>
    bool IsCluster { get; }

    /// <summary>Figures of the whole.</summary>
    ClusterStats Stats { get; }

    /// <summary>This node.</summary>
    ClusterNodeView LocalNode { get; }

    /// <summary>All members, this node among them, ordered by name.</summary>
    IReadOnlyList<ClusterNodeView> Nodes { get; }

    /// <summary>The current term: compare it between nodes when their leaders differ.</summary>
    long Term { get; }

    /// <summary>Last entry known to be committed.</summary>
    long CommitIndex { get; }

    /// <summary>Last entry applied here.</summary>
    long AppliedIndex { get; }

    /// <summary>Whether a leader with a majority is known.</summary>
    bool HasQuorum { get; }

    /// <summary>Why this node can't promise anything yet; null if it can.</summary>
    string? Obstacle { get; }

    /// <summary>Elections that ended with a leader, as this node saw them since it started.</summary>
    long LeaderElections { get; }

    /// <summary>Replication of shared state.</summary>
    ReplicationStats Replication { get; }

    /// <summary>Shared state; null if this node has none.</summary>
    StateStore? Store { get; }

    /// <summary>What happened lately, oldest first.</summary>
    IReadOnlyList<ClusterEventView> Events { get; }

    /// <summary>What went through the cluster port; empty where there is none.</summary>
    IReadOnlyList<FrameCount> Frames { get; }

    /// <summary>Connections to the cluster port that were refused, by reason.</summary>
    IReadOnlyList<(string Reason, long Count)> RefusedHandshakes { get; }

    /// <summary>Stands for election.</summary>
    Task StartElectionAsync(CancellationToken token);

    /// <summary>Hands leadership over; null: to whoever is furthest.</summary>
    Task TransferAsync(string? target, CancellationToken token);

    /// <summary>Adds a node that listens at this address.</summary>
    Task JoinAsync(string address, CancellationToken token);

    /// <summary>Takes this node out of the cluster, when nothing in the queue depends on it any more.</summary>
    /// <param name="force">Without waiting for that.</param>
    /// <param name="token">Ends the waiting.</param>
    Task LeaveAsync(bool force, CancellationToken token);

    /// <summary>Takes a node out of the cluster, when nothing in the queue depends on it any more.</summary>
    /// <param name="nodeId">Its name.</param>
    /// <param name="force">Without waiting for that.</param>
    /// <param name="token">Ends the waiting.</param>
    Task RemoveAsync(string nodeId, bool force, CancellationToken token);

    /// <summary>Has a node drain: it takes no mail any more and gives up what depends on it. Returns when that has begun.</summary>
    Task DrainAsync(string nodeId, CancellationToken token);

    /// <summary>Has a node take mail again.</summary>
    Task CancelDrainAsync(string nodeId, CancellationToken token);

    /// <summary>What depends on a node still.</summary>
    /// <exception cref="KeyNotFoundException">There is no such node.</exception>
    DrainProgress LookAtDrain(string nodeId);
}

/// <summary>Something that happened in the cluster.</summary>
/// <param name="Time">Wall time of the node that saw it.</param>
/// <param name="Kind">What, in snake_case.</param>
/// <param name="Term">The term at that time.</param>
/// <param name="Text">In words.</param>
internal sealed record ClusterEventView(DateTimeOffset Time, string Kind, long Term, string Text);

/// <summary>Frames of one type.</summary>
/// <param name="Type">Its name in snake_case.</param>
/// <param name="Sent">Since start.</param>
/// <param name="Received">Since start.</param>
internal sealed record FrameCount(string Type, long Sent, long Received);
