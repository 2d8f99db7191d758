namespace Quorumail.Core.Queue;

/// <summary>Why a message may be delivered twice (RFC 1047).</summary>
public enum SuspectReason
{
    /// <summary>The next hop did not answer after the final dot.</summary>
    NoReplyAfterDot = 1,

    /// <summary>The owner was lost between an accepted attempt and its record.</summary>
    OwnerLost = 2,

    /// <summary>The client was answered 451 but the message had been committed and an attempt had begun.</summary>
    Answered451 = 3,

    /// <summary>The 250 could not be written to the client.</summary>
    Unread250 = 4,
}
