namespace Quorumail.Core.Queue;

/// <content>What operators do: hold, release, requeue, delete, suspend, resume.</content>
public sealed partial class QueueState
{
    private readonly SuspensionList _suspensions;
    private readonly Queue<Removal> _removals = new();
    private int _heldCount;

    /// <summary>The suspensions in force, by scope and name.</summary>
    public IEnumerable<Suspension> Suspensions => _suspensions.All;

    /// <summary>The latest messages that operators have removed, oldest first.</summary>
    public IEnumerable<Removal> Removals => _removals;

    /// <summary>Number of removed messages that are listed.</summary>
    public int RemovalCount => _removals.Count;

    /// <summary>Whether no attempt may begin for a recipient, though it is the owner's and due.</summary>
    public bool IsSuspended(QueuedMessage message, int recipient) =>
        _suspensions.Count > 0 && _suspensions.Covers(message, recipient);

    private ApplyStatus ApplyAdminister(AdministerCommand command, long stamp, QueueChanges changes)
    {
        changes.Matched = 0;
        changes.HasMore = false;
        if (command.Selection is not { } selection || selection.Ids?.Count > _limits.MaxBatch
            || command.Limit < 1 || command.Limit > _limits.MaxBatch
            || command.Action is < QueueAction.Hold or > QueueAction.Delete)
        {
            return ApplyStatus.Invalid;
        }

        var found = Select(command, stamp, out var hasMore);
        foreach (var message in found)
        {
            switch (command.Action)
            {
                case QueueAction.Hold:
                    Replace(message with { IsHeld = true }, changes);
                    break;
                case QueueAction.Release:
                    Replace(message with { IsHeld = false }, changes);
                    break;
                case QueueAction.Requeue:
                    Replace(message with { Recipients = Requeued(command, message, stamp) }, changes);
                    break;
                default:
                    Delete(message, command.Reason, stamp, changes);
                    break;
            }
        }

        changes.Matched = found.Count;
        changes.HasMore = hasMore;
        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplySuspend(SuspendCommand command, long stamp, QueueChanges changes)
    {
        if (NameOf(command.Scope, command.Name) is not { } name || (command.ExpiresAt != 0 && command.ExpiresAt <= stamp))
        {
            return ApplyStatus.Invalid;
        }

        if (_suspensions.IsFull && !_suspensions.Contains(command.Scope, name))
        {
            return ApplyStatus.Conflict;
        }

        var suspension = new Suspension(command.Scope, name, Cut(command.Reason), stamp, command.ExpiresAt);
        _suspensions.Set(suspension);
        changes.Suspensions.Add((suspension.Scope, name, suspension));
        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyResume(ResumeCommand command, QueueChanges changes)
    {
        if (NameOf(command.Scope, command.Name) is not { } name)
        {
            return ApplyStatus.Invalid;
        }

        if (!_suspensions.Remove(command.Scope, name))
        {
            return ApplyStatus.NotFound;
        }

        changes.Suspensions.Add((command.Scope, name, null));
        return ApplyStatus.Accepted;
    }

    private void ExpireSuspensions(long stamp, QueueChanges changes)
    {
        foreach (var ended in _suspensions.Expire(stamp))
        {
            changes.Suspensions.Add((ended.Scope, ended.Name, null));
        }
    }

    /// <summary>The form in which a name is kept; null if it is none.</summary>
    private string? NameOf(SuspensionScope scope, string? name)
    {
        if (name is null || name.Length > _limits.MaxText || scope is not (SuspensionScope.Destination or SuspensionScope.Sender))
        {
            return null;
        }

        name = (scope == SuspensionScope.Destination ? name.TrimEnd('.') : name).ToLowerInvariant();
        return scope == SuspensionScope.Destination && name.Length == 0 ? null : name;
    }

    /// <summary>The messages that an operator's command changes, oldest first: the same on every node.</summary>
    private List<QueuedMessage> Select(AdministerCommand command, long stamp, out bool hasMore)
    {
        var oldest = new OldestMessages(command.Limit);
        if (command.Selection.Ids is { } ids)
        {
            foreach (var id in ids.Distinct())
            {
                if (_messages.TryGetValue(id, out var message))
                {
                    Consider(message);
                }
            }
        }
        else
        {
            foreach (var message in _messages.Values)
            {
                Consider(message);
            }
        }

        hasMore = oldest.HasMore;
        return oldest.ToList();

        void Consider(QueuedMessage message)
        {
            if (IsChangedBy(command, message, stamp) && command.Selection.Matches(message, stamp))
            {
                oldest.Add(message);
            }
        }
    }

    private static bool IsChangedBy(AdministerCommand command, QueuedMessage message, long stamp) => command.Action switch
    {
        QueueAction.Hold => !message.IsHeld,
        QueueAction.Release => message.IsHeld,
        QueueAction.Requeue => message.Recipients.Any(r => IsRequeued(command, r, stamp)),
        _ => true,
    };

    private static bool IsRequeued(AdministerCommand command, QueuedRecipient recipient, long stamp) =>
        recipient.State == RecipientState.Queued && recipient.NextAttemptAt > (command.IncludesDue ? 0 : stamp);

    // With those that are due, the time is one before all others: it tells whoever schedules that it was asked for, and the next such command that it was done.
    private static QueuedRecipient[] Requeued(AdministerCommand command, QueuedMessage message, long stamp)
    {
        var recipients = ToArray(message.Recipients);
        for (var i = 0; i < recipients.Length; i++)
        {
            if (IsRequeued(command, recipients[i], stamp))
            {
                recipients[i] = recipients[i] with { NextAttemptAt = command.IncludesDue ? 0 : stamp };
            }
        }

        return recipients;
    }

    private void Delete(QueuedMessage message, string? reason, long stamp, QueueChanges changes)
    {
        Remove(message, changes);
        _finished.Add(message.Id, ref _marks, changes);
        var removal = new Removal(
            _marks.NextRemoval, message.Id, message.ReversePath, message.Recipients.Count(r => !r.IsFinal),
            message.Recipients.Count(r => r.OpenAttempt > 0), stamp, Cut(reason));
        _marks = _marks with { NextRemoval = _marks.NextRemoval + 1 };
        changes.MarksChanged = true;
        _removals.Enqueue(removal);
        changes.Removals.Add(removal);
        changes.Deleted.Add(message);
        while (_removals.Count > _limits.MaxRemovals)
        {
            changes.RemovalsDropped.Add(_removals.Dequeue().Sequence);
        }
    }
}
