using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <content>Messages that come, are given up, and are withdrawn.</content>
public sealed partial class QueueState
{
    // Asked for with each message, and changed with the members alone.
    private (QueueMembers Members, IReadOnlyList<BodyHolder> Holders)? _byLog;

    private ApplyStatus ApplyEnqueue(EnqueueCommand command, long stamp, QueueChanges changes)
    {
        var status = command.Id.Milliseconds <= _marks.IdFloor ? ApplyStatus.Abandoned : CheckEnqueue(command);
        if (status == ApplyStatus.Accepted)
        {
            Enqueue(command, stamp, changes);
        }
        else if (status == ApplyStatus.TooFewCopies)
        {
            GiveUp(command.Id, stamp, changes);
        }

        return status;
    }

    private ApplyStatus ApplyAbandon(AbandonCommand command, long stamp, QueueChanges changes)
    {
        if (_messages.ContainsKey(command.Id))
        {
            return ApplyStatus.Conflict;
        }

        if (_finished.Contains(command.Id))
        {
            // A copy that came after the end of its message.
            changes.ReleasedBodies.Add(command.Id);
            return ApplyStatus.Conflict;
        }

        GiveUp(command.Id, stamp, changes);
        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyWithdraw(WithdrawCommand command, long stamp, QueueChanges changes)
    {
        if (!_messages.TryGetValue(command.Id, out var message))
        {
            return WithdrawAbsent(command.Id, stamp, changes);
        }

        foreach (var recipient in message.Recipients)
        {
            if (recipient.Attempts > 0)
            {
                List(command.Id, "", 0, SuspectReason.Answered451, "answered 451, but an attempt had begun", stamp, changes);
                return ApplyStatus.Conflict;
            }
        }

        Remove(message, changes);
        _tombstones.Set(command.Id, stamp, ref _marks, changes);
        return ApplyStatus.Accepted;
    }

    private ApplyStatus WithdrawAbsent(QueueId id, long stamp, QueueChanges changes)
    {
        if (_finished.Contains(id))
        {
            List(id, "", 0, SuspectReason.Answered451, "answered 451, but it had been delivered", stamp, changes);
            return ApplyStatus.Conflict;
        }

        if (id.Milliseconds <= _marks.FinishedFloor && !_tombstones.Contains(id))
        {
            List(id, "", 0, SuspectReason.Answered451, "answered 451; whether it had been delivered is no longer known", stamp, changes);
        }

        GiveUp(id, stamp, changes);
        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyReportUnreadReply(ReportUnreadReplyCommand command, long stamp, QueueChanges changes)
    {
        List(command.Id, "", 0, SuspectReason.Unread250, "the 250 could not be written to the client", stamp, changes);
        return ApplyStatus.Accepted;
    }

    private ApplyStatus CheckEnqueue(EnqueueCommand command)
    {
        if (command.Envelope is not { ReversePath: not null, Recipients: { Count: > 0 } recipients }
            || recipients.Count > _limits.MaxRecipients || command.Size < 0 || command.BodyHash.Length > 64
            || command.Owner is null || command.Tenant is null || command.Holders is null
            || (_members is not null && command.Holders.Count > _limits.MaxNodes) || command.Body.Length > _limits.MaxCarriedBody)
        {
            return ApplyStatus.Invalid;
        }

        foreach (var recipient in recipients)
        {
            if (recipient?.Address is null)
            {
                return ApplyStatus.Invalid;
            }
        }

        if (_messages.ContainsKey(command.Id))
        {
            return ApplyStatus.Collision;
        }

        if (_tombstones.Contains(command.Id) || _finished.Contains(command.Id))
        {
            return ApplyStatus.Abandoned;
        }

        return _members is { } members
            && (members.Find(command.Owner) is null
                || (command.Body.IsEmpty ? members.CopiesOf(command.Holders) < members.MinCopies : !members.IsLogEnough))
            ? ApplyStatus.TooFewCopies
            : ApplyStatus.Accepted;
    }

    private ApplyStatus CheckNotices(IReadOnlyList<EnqueueCommand>? notices)
    {
        if (notices is null)
        {
            return ApplyStatus.Invalid;
        }

        for (var i = 0; i < notices.Count; i++)
        {
            var status = notices[i] is { } notice ? CheckEnqueue(notice) : ApplyStatus.Invalid;
            for (var j = 0; j < i && status == ApplyStatus.Accepted; j++)
            {
                status = notices[j].Id == notices[i].Id ? ApplyStatus.Invalid : status;
            }

            if (status != ApplyStatus.Accepted)
            {
                return status;
            }
        }

        return ApplyStatus.Accepted;
    }

    private void GiveUpNotices(IReadOnlyList<EnqueueCommand>? notices, long stamp, QueueChanges changes)
    {
        foreach (var notice in notices ?? [])
        {
            if (notice is not null && !_messages.ContainsKey(notice.Id) && !_finished.Contains(notice.Id))
            {
                GiveUp(notice.Id, stamp, changes);
            }
        }
    }

    private void GiveUp(QueueId id, long stamp, QueueChanges changes)
    {
        _tombstones.Set(id, stamp, ref _marks, changes);
        changes.ReleasedBodies.Add(id);
    }

    private void Enqueue(EnqueueCommand command, long stamp, QueueChanges changes)
    {
        var envelope = command.Envelope;
        var recipients = new QueuedRecipient[envelope.Recipients.Count];
        for (var i = 0; i < recipients.Length; i++)
        {
            recipients[i] = new QueuedRecipient(envelope.Recipients[i], RecipientState.Queued, 0, 0, stamp, null, false);
        }

        var owner = _shared.Share(command.Owner);
        var message = new QueuedMessage(
            command.Id, _shared.Share(envelope.ReversePath), envelope.Return, envelope.EnvelopeId, recipients,
            command.Size, command.Traits, command.BodyHash.ToArray(), _sharedHolders.Share(HoldersOf(command)), owner,
            EpochOf(owner), stamp, _shared.Share(command.Tenant))
        {
            Placed = _members is null ? 0 : _marks.LastEpoch,
        };
        if (Place(message) is { } other)
        {
            // The accepting node drains, or the leader holds it for lost.
            message = message with { Owner = other, Epoch = EpochOf(other) };
        }

        Put(message);
        changes.Messages.Add(new QueueChange(message.Id, message));
        if (!command.Body.IsEmpty)
        {
            changes.CarriedBodies.Add((message.Id, command.Body));
        }
    }

    private IReadOnlyList<BodyHolder> HoldersOf(EnqueueCommand command)
    {
        if (command.Body.IsEmpty || _members is not { } members)
        {
            return command.Holders;
        }

        if (_byLog is not { } known || !ReferenceEquals(known.Members, members))
        {
            _byLog = known = (members, members.HoldersByLog());
        }

        return known.Holders;
    }
}
