using System.Runtime.InteropServices;

namespace Quorumail.Core.Queue;

/// <content>Owners and their lives.</content>
public sealed partial class QueueState
{
    private ApplyStatus ApplyOwnerRestarted(OwnerRestartedCommand command, long stamp, QueueChanges changes)
    {
        if (command.Owner is not { Length: > 0 } owner || owner.Length > _limits.MaxText)
        {
            return ApplyStatus.Invalid;
        }

        var epoch = _marks.LastEpoch + 1;
        _marks = _marks with { LastEpoch = epoch };
        changes.MarksChanged = true;
        _ownerEpochs[owner] = epoch;
        changes.OwnerEpochs.Add(new(owner, epoch));
        foreach (var id in _attempting.ToArray())
        {
            var message = _messages[id];
            if (string.Equals(message.Owner, owner, StringComparison.Ordinal))
            {
                Replace(message with { Epoch = epoch, Recipients = CloseLost(message, stamp, changes) }, changes);
            }
        }

        // Not persisted message by message: Restore raises the epochs from the owner's.
        foreach (var id in _messages.Keys)
        {
            ref var message = ref CollectionsMarshal.GetValueRefOrNullRef(_messages, id);
            if (message.Epoch < epoch && string.Equals(message.Owner, owner, StringComparison.Ordinal))
            {
                message = message with { Epoch = epoch };
            }
        }

        return ApplyStatus.Accepted;
    }

    private QueuedRecipient[] CloseLost(QueuedMessage message, long stamp, QueueChanges changes)
    {
        var recipients = ToArray(message.Recipients);
        for (var i = 0; i < recipients.Length; i++)
        {
            var recipient = recipients[i];
            if (recipient.State == RecipientState.Attempting)
            {
                List(message.Id, recipient.Envelope.Address, recipient.OpenAttempt, SuspectReason.OwnerLost,
                    "the owner was lost during the attempt", stamp, changes);
                recipients[i] = recipient with
                {
                    State = RecipientState.Queued,
                    OpenAttempt = 0,
                    NextAttemptAt = stamp,
                };
            }
        }

        return recipients;
    }
}
