namespace Quorumail.Core.Delivery;

/// <summary>Bounds of delivery.</summary>
public sealed record DeliveryLimits
{
    /// <summary>
    /// Jobs under way at once, over all next hops; destinations that could not be reached have half of them at most. As many more may file into
    /// mailboxes, discard, and report deadlines. 200 (Postfix: 100 smtp processes).
    /// </summary>
    public int Concurrency { get; init; } = 200;

    /// <summary>Jobs under way at once for one destination. 20 (Postfix's default_destination_concurrency_limit).</summary>
    public int DestinationConcurrency { get; init; } = 20;

    /// <summary>Recipients of one job. 100 (RFC 5321 4.5.3.1.8).</summary>
    public int RecipientsPerJob { get; init; } = 100;

    /// <summary>Recipients whose deadline is reported at once. 500: with 850 octets for each result they fit a log entry of 1 MiB.</summary>
    public int RecipientsPerDeadline { get; init; } = 500;

    /// <summary>Jobs that one connection may take in a row while other destinations wait for a free place. 20.</summary>
    public int JobsPerTurn { get; init; } = 20;

    /// <summary>Waiting time before a job whose result could not be recorded is offered again, in milliseconds. 1 second.</summary>
    public long UnrecordedWait { get; init; } = 1000;

    /// <summary>
    /// How long past its deadline a message that can be tried waits for its turn, and past its expiry for the last attempts at its other recipients, in
    /// milliseconds. 1 minute.
    /// </summary>
    public long DeadlineGrace { get; init; } = 60_000;
}
