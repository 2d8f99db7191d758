namespace Quorumail.Core.Queue;

/// <summary>What an operator does to queued messages.</summary>
public enum QueueAction
{
    /// <summary>No attempt begins until it is released; expiry and delay notices wait as well.</summary>
    Hold = 1,

    /// <summary>Ends a hold.</summary>
    Release = 2,

    /// <summary>Recipients that wait are tried as soon as possible.</summary>
    Requeue = 3,

    /// <summary>Removed without a notice to anybody; listed as removed.</summary>
    Delete = 4,
}
