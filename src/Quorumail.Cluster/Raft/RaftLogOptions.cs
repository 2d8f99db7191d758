namespace Quorumail.Cluster.Raft;

/// <summary>Where a <see cref="RaftLog"/> lives and what its limits are.</summary>
public sealed record RaftLogOptions
{
    /// <summary>This node's name, unique in the cluster.</summary>
    public required string NodeId { get; init; }

    /// <summary>The log's own directory; created if it does not exist.</summary>
    public required string Directory { get; init; }

    /// <summary>Generation of this node's disk, given by the cluster; 1 for its founder.</summary>
    public int Incarnation { get; init; } = 1;

    /// <summary>Commands that share an entry at most; no more than 1024, which sequence numbers rely on.</summary>
    public int MaxEntryCommands { get; init; } = 1024;

    /// <summary>Bytes of commands that share an entry at most; one command alone may be as large.</summary>
    public int MaxEntryBytes { get; init; } = 1 << 20;

    /// <summary>Bytes of commands that wait for an entry at most; beyond it a proposal is refused.</summary>
    public int MaxWaitingBytes { get; init; } = 64 << 20;

    /// <summary>Commands that wait for an entry at most; beyond it a proposal is refused.</summary>
    public int MaxWaitingCommands { get; init; } = 100_000;

    /// <summary>Entries after which the state is flushed and the log truncated.</summary>
    public int SnapshotEntries { get; init; } = 50_000;

    /// <summary>Bytes of entries after which the state is flushed and the log truncated.</summary>
    public long SnapshotBytes { get; init; } = 64L << 20;

    /// <summary>Bytes of one file of the log.</summary>
    public int SegmentBytes { get; init; } = 16 << 20;
}
