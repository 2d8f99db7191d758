using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>
/// A message that is new or has changed, its owner included, or, with <paramref name="Message"/> null, one that has left the
/// queue.
/// </summary>
public readonly record struct QueueChange(QueueId Id, QueuedMessage? Message)
{
    /// <summary>No message, but the suspensions have changed: read them from the queue.</summary>
    public bool SuspensionsChanged { get; init; }
}
