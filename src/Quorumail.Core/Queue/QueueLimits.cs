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

    /// <summary>The highest attempt number. A day of back-to-back attempts, ten a second.</summary>
    public int MaxAttempt { get; init; } = 1_000_000;

    /// <summary>Length of a kept reply, next hop or other text, in characters; longer ones are cut. 512 (RFC 5321 4.5.3.1.5).</summary>
    public int MaxText { get; init; } = 512;
}
