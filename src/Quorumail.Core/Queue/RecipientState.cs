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
}
