using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <content>Attempts: their starts, and their ends recipient by recipient.</content>
public sealed partial class QueueState
{
    private ApplyStatus ApplyAttemptStarted(AttemptStartedCommand command, long stamp, QueueChanges changes)
    {
        if (!IsAttempt(command.Attempt) || command.Recipients is not { Count: > 0 })
        {
            return ApplyStatus.Invalid;
        }

        if (!_messages.TryGetValue(command.Id, out var message))
        {
            return ApplyStatus.NotFound;
        }

        if (command.Epoch != message.Epoch)
        {
            return ApplyStatus.StaleEpoch;
        }

        if (message.IsHeld)
        {
            return ApplyStatus.Held;
        }

        var recipients = ToArray(message.Recipients);
        foreach (var index in command.Recipients)
        {
            if ((uint)index >= (uint)recipients.Length)
            {
                return ApplyStatus.Invalid;
            }

            if (IsSuspended(message, index))
            {
                return ApplyStatus.Suspended;
            }

            // A recipient named twice fails here the second time.
            var recipient = recipients[index];
            if (!MayTry(recipient, stamp) || command.Attempt <= recipient.Attempts)
            {
                return ApplyStatus.Conflict;
            }

            recipients[index] = recipient with
            {
                State = RecipientState.Attempting,
                Attempts = command.Attempt,
                OpenAttempt = command.Attempt,
                OpenEpoch = command.Epoch,
            };
        }

        foreach (var index in command.Recipients)
        {
            ListIfLost(command.Id, message.Recipients[index], stamp, changes);
        }

        Replace(message with { Recipients = recipients }, changes);
        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyAttemptGivenUp(AttemptGivenUpCommand command, long stamp, QueueChanges changes)
    {
        if (!IsAttempt(command.Attempt) || command.Recipients is not { Count: > 0 })
        {
            return ApplyStatus.Invalid;
        }

        if (!_messages.TryGetValue(command.Id, out var message))
        {
            return ApplyStatus.NotFound;
        }

        if (command.Epoch != message.Epoch)
        {
            return ApplyStatus.StaleEpoch;
        }

        var recipients = ToArray(message.Recipients);
        foreach (var index in command.Recipients)
        {
            if ((uint)index >= (uint)recipients.Length)
            {
                return ApplyStatus.Invalid;
            }

            // A recipient named twice fails here the second time.
            var recipient = recipients[index];
            if (recipient.State != RecipientState.OwnerLost || recipient.OpenAttempt != command.Attempt || !MayTry(recipient, stamp))
            {
                return ApplyStatus.Conflict;
            }

            recipients[index] = recipient with { State = RecipientState.Queued, OpenAttempt = 0, OpenEpoch = 0, NextAttemptAt = stamp };
        }

        foreach (var index in command.Recipients)
        {
            ListIfLost(command.Id, message.Recipients[index], stamp, changes);
        }

        Replace(message with { Recipients = recipients }, changes);
        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyAttemptEnded(AttemptEndedCommand command, long stamp, QueueChanges changes)
    {
        // The recipients are judged before the notices, so that a command proposed twice is told that it is superseded.
        var status = Settle(command, stamp, out var message, out var recipients);
        if (status == ApplyStatus.Accepted)
        {
            status = CheckNotices(command.Notices);
        }

        if (status != ApplyStatus.Accepted)
        {
            GiveUpNotices(command.Notices, stamp, changes);
            if (status == ApplyStatus.NotFound && _tombstones.Contains(command.Id) && HasDelivery(command.Results))
            {
                // A delivery that needs no AttemptStarted was under way when the message was withdrawn.
                List(command.Id, "", command.Attempt, SuspectReason.Answered451, "delivered while it was withdrawn", stamp, changes);
            }

            return status;
        }

        foreach (var result in command.Results)
        {
            if (message!.Recipients[result.Recipient] is var before && !before.HasOpen(command.Attempt, command.Epoch))
            {
                ListIfLost(command.Id, before, stamp, changes);
            }

            if (result.Outcome == RecipientOutcome.InDoubt)
            {
                List(command.Id, recipients![result.Recipient].Envelope.Address, command.Attempt,
                    SuspectReason.NoReplyAfterDot, Cut(result.Reply), stamp, changes);
            }
        }

        if (Array.TrueForAll(recipients!, static r => r.IsFinal))
        {
            Remove(message!, changes);
            _finished.Add(command.Id, ref _marks, changes);
        }
        else
        {
            ReplaceAndPlace(message! with { Recipients = recipients! }, changes);
        }

        foreach (var notice in command.Notices)
        {
            Enqueue(notice, stamp, changes);
        }

        return ApplyStatus.Accepted;
    }

    /// <summary>What the recipients become by an AttemptEnded, or why it is refused. Changes nothing.</summary>
    private ApplyStatus Settle(
        AttemptEndedCommand command, long stamp, out QueuedMessage? message, out QueuedRecipient[]? recipients)
    {
        recipients = null;
        message = null;
        if (!IsAttempt(command.Attempt) || command.Results is not { Count: > 0 })
        {
            return ApplyStatus.Invalid;
        }

        if (!_messages.TryGetValue(command.Id, out message))
        {
            return ApplyStatus.NotFound;
        }

        var settled = ToArray(message.Recipients);
        Span<bool> seen = settled.Length <= 256 ? stackalloc bool[settled.Length] : new bool[settled.Length];
        foreach (var result in command.Results)
        {
            if (result is null || (uint)result.Recipient >= (uint)settled.Length || seen[result.Recipient]
                || result.Outcome is < RecipientOutcome.Delivered or > RecipientOutcome.Dropped)
            {
                return ApplyStatus.Invalid;
            }

            seen[result.Recipient] = true;
            var recipient = settled[result.Recipient];
            if (recipient.IsFinal)
            {
                return ApplyStatus.Conflict;
            }

            // Of an open attempt the result is taken whoever owns the message now.
            if (!recipient.HasOpen(command.Attempt, command.Epoch))
            {
                if (recipient.IsWaiting && command.Epoch != message.Epoch)
                {
                    return ApplyStatus.StaleEpoch;
                }

                if (!MayTry(recipient, stamp) || command.Attempt <= recipient.Attempts)
                {
                    return ApplyStatus.Conflict;
                }
            }

            settled[result.Recipient] = Settle(recipient, result, command.Attempt);
        }

        recipients = settled;
        return ApplyStatus.Accepted;
    }

    private QueuedRecipient Settle(QueuedRecipient recipient, RecipientResult result, int attempt) => recipient with
    {
        State = result.Outcome switch
        {
            RecipientOutcome.Delivered => RecipientState.Delivered,
            RecipientOutcome.Bounced or RecipientOutcome.Dropped => RecipientState.Bounced,
            _ => RecipientState.Queued,
        },
        Attempts = attempt,
        OpenAttempt = 0,
        OpenEpoch = 0,
        NextAttemptAt = result.NextAttemptAt,
        LastResult = Shared(result),
        DelayNoticed = recipient.DelayNoticed || result.DelayNoticed,
    };

    /// <summary>Whether the owner may try a recipient: a lost owner's result is waited for, a deferral is the scheduler's business.</summary>
    private static bool MayTry(QueuedRecipient recipient, long stamp) =>
        recipient.State == RecipientState.Queued
        || (recipient.State == RecipientState.OwnerLost && stamp >= recipient.NextAttemptAt);

    /// <summary>Lists a recipient whose lost owner's attempt is waited for no more.</summary>
    private void ListIfLost(QueueId id, QueuedRecipient recipient, long stamp, QueueChanges changes)
    {
        if (recipient.State == RecipientState.OwnerLost)
        {
            ListLost(id, recipient, stamp, changes);
        }
    }

    private bool IsAttempt(int attempt) => attempt >= 1 && attempt <= _limits.MaxAttempt;

    private static bool HasDelivery(IReadOnlyList<RecipientResult>? results) =>
        results is not null && results.Any(static r => r?.Outcome == RecipientOutcome.Delivered);
}
