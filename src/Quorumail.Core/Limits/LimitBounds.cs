namespace Quorumail.Core.Limits;

/// <summary>Bounds of the limits' replicated state. All members must use the same, so they are no options.</summary>
public sealed record LimitBounds
{
    /// <summary>Limits defined at once. 1 000.</summary>
    public int MaxLimits { get; init; } = 1000;

    /// <summary>Keys of all limits for which something is granted. 200 000, about 50 MB, forgotten in a moment when their window ends. Each limit may have an even part; beyond it its new keys get nothing.</summary>
    public int MaxKeys { get; init; } = 200_000;

    /// <summary>Members. 64.</summary>
    public int MaxNodes { get; init; } = 64;

    /// <summary>Length of a name or key, in characters. 320: a mailbox (RFC 5321 4.5.3.1).</summary>
    public int MaxText { get; init; } = 320;

    /// <summary>Largest capacity. A billion.</summary>
    public int MaxCapacity { get; init; } = 1_000_000_000;

    /// <summary>Longest window or lease, in milliseconds. 31 days.</summary>
    public long MaxPeriod { get; init; } = 31L * 24 * 60 * 60 * 1000;
}
