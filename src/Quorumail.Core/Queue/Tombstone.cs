using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>An id that was given up: its Enqueue is refused from now on.</summary>
/// <param name="Sequence">Rises by one with each; the key under which it is persisted.</param>
/// <param name="Id">The id.</param>
/// <param name="SetAt">Milliseconds of cluster time.</param>
public readonly record struct Tombstone(long Sequence, QueueId Id, long SetAt);
