using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>Where a <see cref="ClusterNode"/> keeps its log, and what its limits are.</summary>
public sealed record ClusterNodeOptions
{
    /// <summary>Bytes that a frame needs besides the entry that it carries.</summary>
    public const int FrameOverhead = 128;

    /// <summary>This node's name, unique in the cluster.</summary>
    public required string NodeId { get; init; }

    /// <summary>The log's own directory; created if it does not exist.</summary>
    public required string Directory { get; init; }

    /// <summary>host:port at which peers reach this node; empty if it does not know.</summary>
    public string Address { get; init; } = string.Empty;

    /// <summary>Addresses of the nodes that make the cluster, one's own among them or not (host:port).</summary>
    public IReadOnlyList<string> Peers { get; init; } = [];

    /// <summary>Whether to found the cluster without waiting for those that can't be reached.</summary>
    public bool Bootstrap { get; init; }

    /// <summary>When the leader speaks and when it is missed.</summary>
    public ClusterTimers Timers { get; init; } = ClusterTimers.Default;

    /// <summary>The highest feature level that this program knows.</summary>
    public int FeatureLevel { get; init; } = 1;

    /// <summary>Commands that share an entry at most.</summary>
    public int MaxEntryCommands { get; init; } = 1024;

    /// <summary>How long to wait for more commands before an entry is written; zero: what has gathered goes at once.</summary>
    public TimeSpan EntryInterval { get; init; } = TimeSpan.Zero;

    /// <summary>Bytes of an entry at most; it travels in one frame.</summary>
    public int MaxEntryBytes { get; init; } = FrameLimits.PayloadMax - FrameOverhead;

    /// <summary>Bytes of commands that wait for an entry at most; beyond it a proposal is refused.</summary>
    public int MaxWaitingBytes { get; init; } = 64 << 20;

    /// <summary>Commands that wait for an entry at most; beyond it a proposal is refused.</summary>
    public int MaxWaitingCommands { get; init; } = 50_000;

    /// <summary>Entries after which the state is flushed and the log truncated.</summary>
    public int SnapshotEntries { get; init; } = 50_000;

    /// <summary>Bytes of entries after which the state is flushed and the log truncated.</summary>
    public long SnapshotBytes { get; init; } = 64L << 20;

    /// <summary>
    /// Bytes that the log may grow by while a member is sent a snapshot, after which it needs what follows; no more than half of what is free
    /// on the disk when that begins. Beyond it the sending is given up for a while. Default 1 GiB.
    /// </summary>
    public long RetainedBytesMax { get; init; } = 1L << 30;

    /// <summary>Bytes of one file of the log.</summary>
    public int SegmentBytes { get; init; } = 16 << 20;

    /// <summary>Events kept for the operator.</summary>
    public int MaxEvents { get; init; } = 1000;
}
