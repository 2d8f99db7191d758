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

    /// <summary>How long one proposal of the queue's own may take before it is made again. Default 10 s.</summary>
    public TimeSpan ProposalTimeout { get; init; } = TimeSpan.FromSeconds(10);
}
