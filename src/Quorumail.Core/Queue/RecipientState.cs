namespace Quorumail.Core.Queue;

/// <summary>Where a recipient of a queued message stands.</summary>
public enum RecipientState
{
    /// <summary>Waits for its next attempt.</summary>
    Queued = 0,

    /// <summary>An accepted attempt is open: its final dot may have been sent.</summary>
    Attempting = 1,

    /// <summary>Final.</summary>
    Delivered = 2,

    /// <summary>Final: bounced or dropped.</summary>
    Bounced = 3,

    /// <summary>
    /// An accepted attempt is open, but its owner was lost. Until <see cref="QueuedRecipient.NextAttemptAt"/> its result is
    /// waited for; then the recipient can be tried again, which lists it as a suspect.
    /// </summary>
    OwnerLost = 4,
}
