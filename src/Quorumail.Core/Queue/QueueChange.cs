using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>A message that is new or has changed, or, with <paramref name="Message"/> null, one that has left the queue.</summary>
public readonly record struct QueueChange(QueueId Id, QueuedMessage? Message);
