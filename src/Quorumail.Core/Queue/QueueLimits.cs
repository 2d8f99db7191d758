namespace Quorumail.Core.Queue;

/// <summary>
/// Bounds of the queue's replicated state. All members must use the same, or their states part; so they are no options.
/// </summary>
public sealed record QueueLimits
{
    /// <summary>Suspects listed at once; the oldest go first. 100 000, about 20 MB.</summary>
    public int MaxSuspects { get; init; } = 100_000;

    /// <summary>How long a suspect is listed, in milliseconds of cluster time. 30 days (DESIGN 6).</summary>
    public long SuspectLifetime { get; init; } = 30L * 24 * 60 * 60 * 1000;

    /// <summary>Tombstones kept at once; the oldest go first. 200 000, about 15 MB.</summary>
    public int MaxTombstones { get; init; } = 200_000;

    /// <summary>How long a tombstone is kept, in milliseconds of cluster time. 7 days: far longer than any proposal lives.</summary>
    public long TombstoneLifetime { get; init; } = 7L * 24 * 60 * 60 * 1000;

    /// <summary>Finished messages remembered. 65 536, about 5 MB: the last 13 seconds at 5 000 messages a second.</summary>
    public int MaxFinished { get; init; } = 65_536;

    /// <summary>Recipients of a message. 10 000: the largest <c>max_recipients</c> that can be configured.</summary>
    public int MaxRecipients { get; init; } = 10_000;

    /// <summary>Octets of a body that the log carries, as it is stored. 1 MiB; what nodes send is far below (<c>BodyFormat.CarriedMax</c>).</summary>
    public int MaxCarriedBody { get; init; } = 1 << 20;

    /// <summary>The highest attempt number. A day of back-to-back attempts, ten a second.</summary>
    public int MaxAttempt { get; init; } = 1_000_000;

    /// <summary>Members of a cluster. 64: far more than make sense.</summary>
    public int MaxNodes { get; init; } = 64;

    /// <summary>Suspensions in force at once. 10 000.</summary>
    public int MaxSuspensions { get; init; } = 10_000;

    /// <summary>Removed messages listed at once; the oldest go first. 10 000, about 2 MB.</summary>
    public int MaxRemovals { get; init; } = 10_000;

    /// <summary>Messages that one command may change by name or filter. 10 000.</summary>
    public int MaxBatch { get; init; } = 10_000;

    /// <summary>The longest wait for the result of a lost owner's attempt, in milliseconds. 1 day.</summary>
    public long MaxInDoubtWait { get; init; } = 24L * 60 * 60 * 1000;

    /// <summary>Placements kept at once; then all messages that they moved are written anew. 64: half a million messages follow them in two seconds at start.</summary>
    public int MaxPlacements { get; init; } = 64;

    /// <summary>Moved messages whose records are written anew in one go. 256.</summary>
    public int MovesPerSave { get; init; } = 256;

    /// <summary>Milliseconds between two such goes. 50: 5 000 records a second, a small part of what a disk can do.</summary>
    public long SaveInterval { get; init; } = 50;

    /// <summary>Length of a kept reply, next hop or other text, in characters; longer ones are cut. 512 (RFC 5321 4.5.3.1.5).</summary>
    public int MaxText { get; init; } = 512;
}
