using Quorumail.Core.Queue;

namespace Quorumail.Server.Queue.History;

/// <summary>
/// What an applied command says of a message's way, by reference: taken while the queue's lock is held, told in full
/// (<see cref="ToEvent"/>) when it is written.
/// </summary>
/// <param name="Index">The log's entry.</param>
/// <param name="Place">Which command of it, or which of its messages if it is about many.</param>
/// <param name="At">Milliseconds of cluster time.</param>
/// <param name="Subject">The message as it was before; null if it is <paramref name="Removal"/> that tells.</param>
/// <param name="Ended">The attempt that has ended; null if it was none.</param>
/// <param name="Removal">The deletion; null if it was none.</param>
/// <param name="IsOver">Whether the message has left the queue.</param>
internal readonly record struct HistoryNote(
    long Index, int Place, long At, QueuedMessage? Subject, AttemptEndedCommand? Ended, Removal? Removal, bool IsOver)
{
    /// <summary>The event as it is to be stored.</summary>
    public HistoryEvent ToEvent()
    {
        if (Removal is { } removal)
        {
            return new HistoryEvent(removal.Id, Index, Place, At, HistoryEventKind.Deleted)
            {
                ReversePath = removal.ReversePath,
                Reason = removal.Reason,
                IsOver = true,
            };
        }

        var subject = Subject!;
        if (Ended is not { } ended)
        {
            return new HistoryEvent(subject.Id, Index, Place, At, HistoryEventKind.Withdrawn)
            {
                ReversePath = subject.ReversePath,
                Size = subject.Size,
                IsOver = true,
            };
        }

        return new HistoryEvent(subject.Id, Index, Place, At, HistoryEventKind.Attempt)
        {
            Attempt = ended.Attempt,
            ReversePath = subject.ReversePath,
            Size = subject.Size,
            Node = subject.Owner,
            IsOver = IsOver,
            Results =
            [
                .. ended.Results.Select(result => new HistoryResult(
                    subject.Recipients[result.Recipient].Envelope.Address,
                    result.Outcome,
                    result.Reply,
                    result.EnhancedCode,
                    result.NextHop,
                    result.NextAttemptAt)),
            ],
        };
    }
}
