namespace Quorumail.Core.Queue;

/// <summary>How an attempt ended for one recipient.</summary>
public enum RecipientOutcome
{
    /// <summary>The next hop, or the mailbox, has taken responsibility.</summary>
    Delivered = 1,

    /// <summary>A temporary failure: to be tried again at <see cref="RecipientResult.NextAttemptAt"/>.</summary>
    Deferred = 2,

    /// <summary>A permanent failure, or expiry.</summary>
    Bounced = 3,

    /// <summary>No reply after the final dot: the next hop may have the message. Tried again like a deferral, and listed.</summary>
    InDoubt = 4,

    /// <summary>Not delivered and not reported: a bounce of a message with the null sender (RFC 5321 4.5.5).</summary>
    Dropped = 5,
}
