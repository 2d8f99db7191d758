using Quorumail.Server.Storage;

namespace Quorumail.Server.Queue;

/// <summary>Where the queue lives and who owns it.</summary>
public sealed record MailQueueOptions
{
    /// <summary>Disk and memory. The replicated log goes to <c>log</c> below its path.</summary>
    public required DatabaseOptions Database { get; init; }

    /// <summary>
    /// The node's name in the cluster, which its messages carry. Null: the name that the data directory was made with,
    /// or a new one made of its disk id. A name that differs from the directory's is refused.
    /// </summary>
    public string? NodeId { get; init; }

    /// <summary>How long changes may wait in memory before they are written (unsynced; the log has them). Default 100 ms: most messages are gone by then.</summary>
    public TimeSpan WriteBehind { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Octets that the history of messages may take, in <c>history</c> below the data directory; 0: none is kept. Default 1 GiB (what is written for a message is some 300 octets).</summary>
    public long HistorySizeMax { get; init; } = 1L << 30;

    /// <summary>How long an event of the history is kept at most. Default 7 days.</summary>
    public TimeSpan HistoryKeep { get; init; } = TimeSpan.FromDays(7);

    /// <summary>How long one proposal of the queue's own may take before it is made again. Default 10 s.</summary>
    public TimeSpan ProposalTimeout { get; init; } = TimeSpan.FromSeconds(10);
}
