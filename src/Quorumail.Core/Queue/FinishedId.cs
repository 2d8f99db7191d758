using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>A message that has come to its end and left the queue.</summary>
/// <param name="Sequence">Rises by one with each.</param>
/// <param name="Slot">The key under which it is persisted: a later one of the same slot overwrites it, so that none is ever deleted.</param>
/// <param name="Id">Its id.</param>
public readonly record struct FinishedId(long Sequence, int Slot, QueueId Id);
