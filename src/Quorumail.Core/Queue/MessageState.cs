namespace Quorumail.Core.Queue;

/// <summary>Where a queued message stands.</summary>
public enum MessageState
{
    /// <summary>No attempt has begun.</summary>
    Queued = 0,

    /// <summary>A recipient has an open attempt.</summary>
    Attempting = 1,

    /// <summary>None has an open attempt, and at least one attempt has been made.</summary>
    Deferred = 2,

    /// <summary>Held by an operator, and no attempt is open.</summary>
    Held = 3,
}
