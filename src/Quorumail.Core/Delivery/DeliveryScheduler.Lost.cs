using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <content>
/// Attempts of lost owners that are waited for no more. A job that begins then gives them up by itself; where none can, because the
/// message is held, or its destination suspended or backed off, that is said without one.
/// </content>
public sealed partial class DeliveryScheduler
{
    private readonly PriorityQueue<SchedulerMessage, long> _lost = new();

    /// <summary>
    /// The next lost attempt to be given up, or null; to be asked when <see cref="TryTakeJob"/> has given none. Each ends in one
    /// <see cref="GivenUp"/>.
    /// </summary>
    public AttemptGivenUpCommand? TryTakeGivenUp(long now)
    {
        now = NotBack(now);
        while (_lost.TryPeek(out var known, out var at) && at <= now)
        {
            _lost.Dequeue();
            known.GiveUpAt = 0;
            if (!IsPresent(known))
            {
                continue;
            }

            var message = known.Latest;
            var recipients = message.Recipients.Select((_, i) => i).Where(i => IsLost(known, i) && message.Recipients[i].NextAttemptAt <= now).ToList();
            if (recipients.Count > 0)
            {
                known.IsGivingUp = true;
                var attempt = message.Recipients[recipients[0]].OpenAttempt;
                return new AttemptGivenUpCommand(
                    message.Id, message.Epoch, attempt, recipients.FindAll(i => message.Recipients[i].OpenAttempt == attempt));
            }

            WatchLost(known, 0);
        }

        return null;
    }

    /// <summary>The fate of what <see cref="TryTakeGivenUp"/> gave is known, or that nobody knows it: what is still open then is given up again after a moment.</summary>
    public void GivenUp(QueueId id, long now)
    {
        if (_messages.TryGetValue(id, out var known))
        {
            known.IsGivingUp = false;
            WatchLost(known, NotBack(now) + _limits.UnrecordedWait);
        }
    }

    private static long? Earliest(long? one, long? other) => other is null || one <= other ? one ?? other : other;

    /// <summary>A recipient whose job is under way is that job's business.</summary>
    private static bool IsLost(SchedulerMessage known, int index) =>
        known.Latest.Recipients[index].State == RecipientState.OwnerLost && !known.IsHeld(index);

    private bool IsPresent(SchedulerMessage known) => _messages.TryGetValue(known.Latest.Id, out var present) && ReferenceEquals(present, known);

    private void WatchLost(SchedulerMessage known, long notBefore)
    {
        if (known.GiveUpAt != 0 || known.IsGivingUp)
        {
            return;
        }

        var due = long.MaxValue;
        for (var i = 0; i < known.Latest.Recipients.Count; i++)
        {
            due = IsLost(known, i) ? Math.Min(due, known.Latest.Recipients[i].NextAttemptAt) : due;
        }

        if (due < long.MaxValue)
        {
            known.GiveUpAt = Math.Max(1, Math.Max(due, notBefore));
            _lost.Enqueue(known, known.GiveUpAt);
        }
    }
}
