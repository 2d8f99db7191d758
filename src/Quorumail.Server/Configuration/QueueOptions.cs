namespace Quorumail.Server.Configuration;

/// <summary><c>[queue]</c>: trying again and giving up.</summary>
public sealed record QueueOptions
{
    /// <summary>Waiting after the first, second … failed attempt, each ±10 %; the last repeats. RFC 5321 4.5.4.1 asks for about 30 minutes after the first tries.</summary>
    [ConfigKey(IsRequired = true, Minimum = 1, Maximum = 86_400)]
    public IReadOnlyList<TimeSpan> RetrySchedule { get; init; } =
    [
        TimeSpan.FromMinutes(1),
        TimeSpan.FromMinutes(5),
        TimeSpan.FromMinutes(15),
        TimeSpan.FromMinutes(30),
        TimeSpan.FromHours(1),
        TimeSpan.FromHours(2),
        TimeSpan.FromHours(4),
    ];

    /// <summary>A message this old bounces at its next failure. Default 5 days (RFC 5321 4.5.4.1: 4–5 days at least).</summary>
    [ConfigKey(Minimum = 1, Maximum = 2_592_000)]
    public TimeSpan ExpireAfter { get; init; } = TimeSpan.FromDays(5);

    /// <summary>The same for messages with the null sender, which are dropped without a notice. Default 1 day.</summary>
    [ConfigKey(Minimum = 1, Maximum = 2_592_000)]
    public TimeSpan ExpireAfterNullSender { get; init; } = TimeSpan.FromDays(1);

    /// <summary>The sender is told once when a recipient has waited this long; 0: never. Default 4 hours.</summary>
    [ConfigKey(Minimum = 0, Maximum = 2_592_000)]
    public TimeSpan DelayNoticeAfter { get; init; } = TimeSpan.FromHours(4);

    /// <summary>Octets of disk for the history of messages (<c>queue history</c>), of which the oldest part goes first; 0: none is kept. Each node has its own. Default 1 GB: some three million messages.</summary>
    [ConfigKey(IsByteSize = true, Minimum = 0, Maximum = 1L << 50)]
    public long HistoryMaxSize { get; init; } = 1L << 30;

    /// <summary>How long the history goes back at most. Default 7 days.</summary>
    [ConfigKey(Minimum = 60, Maximum = 31_536_000)]
    public TimeSpan HistoryKeep { get; init; } = TimeSpan.FromDays(7);
}
