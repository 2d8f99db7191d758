using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>
/// The queue as the log makes it: the same commands in the same order give the same state and the same answers on every
/// node. <see cref="Apply"/> never throws for what a command holds; a refused command changes nothing, but that a
/// refused <see cref="AttemptEndedCommand"/> gives up its notices. Not thread-safe: one caller at a time, readers under the
/// caller's lock; the messages handed out are immutable.
/// </summary>
/// <remarks>
/// The log must apply each proposal at most once (it de-duplicates), and a queue id is proposed in one Enqueue only: the
/// state forgets finished messages, so an Enqueue that came again later would bring back a message without a body.
/// </remarks>
public sealed class QueueState
{
    private readonly QueueLimits _limits;
    private readonly Dictionary<QueueId, QueuedMessage> _messages = [];
    private readonly SortedSet<QueueId> _attempting = [];
    private readonly Dictionary<string, long> _ownerEpochs = new(StringComparer.Ordinal);
    private readonly SuspectList _suspects;
    private readonly TombstoneList _tombstones;
    private readonly FinishedRing _finished;
    private readonly SharedStrings _shared = new();
    private IReadOnlyList<BodyHolder> _lastHolders = [];
    private QueueMarks _marks = QueueMarks.Initial;
    private int _queuedCount;
    private int _deferredCount;
    private long _octets;

    /// <summary>An empty queue.</summary>
    /// <param name="limits">The same on all members; null for the defaults.</param>
    public QueueState(QueueLimits? limits = null)
    {
        _limits = limits ?? new QueueLimits();
        _suspects = new SuspectList(_limits);
        _tombstones = new TombstoneList(_limits);
        _finished = new FinishedRing(_limits);
    }

    /// <summary>Messages in the queue.</summary>
    public int Count => _messages.Count;

    /// <summary>How many messages stand where.</summary>
    public QueueCounts Counts => new(_queuedCount, _attempting.Count, _deferredCount, _octets);

    /// <summary>All messages, in no particular order.</summary>
    public IReadOnlyCollection<QueuedMessage> Messages => _messages.Values;

    /// <summary>Number of listed suspects.</summary>
    public int SuspectCount => _suspects.Count;

    /// <summary>The suspects, oldest first.</summary>
    public IEnumerable<ListedSuspect> Suspects => _suspects.All;

    /// <summary>Number of tombstones.</summary>
    public int TombstoneCount => _tombstones.Count;

    /// <summary>The tombstones, oldest first.</summary>
    public IEnumerable<Tombstone> Tombstones => _tombstones.All;

    /// <summary>The latest messages that have come to their end, oldest first.</summary>
    public IEnumerable<FinishedId> Finished => _finished.All;

    /// <summary>Epochs of all owners that have begun more than one life.</summary>
    public IReadOnlyDictionary<string, long> OwnerEpochs => _ownerEpochs;

    /// <summary>The numbers that belong to no message.</summary>
    public QueueMarks Marks => _marks;

    /// <summary>
    /// An Enqueue with an id of this millisecond or before is refused (-1: none is). Who makes ids takes a time above it,
    /// whatever its clock says. Notices are exempt: their ids derive from the original message's.
    /// </summary>
    public long IdFloor => _marks.IdFloor;

    /// <summary>Makes a state of what was persisted; it goes on exactly as the one that persisted it.</summary>
    public static QueueState Restore(QueueRecords records, QueueLimits? limits = null)
    {
        var state = new QueueState(limits) { _marks = records.Marks };
        foreach (var (owner, epoch) in records.OwnerEpochs)
        {
            state._ownerEpochs[owner] = epoch;
        }

        foreach (var tombstone in records.Tombstones)
        {
            state._tombstones.Restore(tombstone);
        }

        foreach (var suspect in records.Suspects)
        {
            state._suspects.Restore(suspect);
        }

        foreach (var finished in records.Finished)
        {
            state._finished.Restore(finished);
        }

        foreach (var message in records.Messages)
        {
            state.Put(message with
            {
                Owner = state._shared.Share(message.Owner),
                Tenant = state._shared.Share(message.Tenant),
                ReversePath = state._shared.Share(message.ReversePath),
                Holders = state.ShareHolders(message.Holders),
                Recipients = state.ShareRecipients(message.Recipients),
                Epoch = Math.Max(message.Epoch, state.EpochOf(message.Owner)),
            });
        }

        return state;
    }

    /// <summary>The message, if it is in the queue.</summary>
    public bool TryGet(QueueId id, [NotNullWhen(true)] out QueuedMessage? message) =>
        _messages.TryGetValue(id, out message);

    /// <summary>Whether the id was given up and not yet forgotten.</summary>
    public bool IsTombstoned(QueueId id) => _tombstones.Contains(id);

    /// <summary>The epoch of the owner's present life: 0 before its first restart.</summary>
    public long EpochOf(string owner) => _ownerEpochs.GetValueOrDefault(owner);

    /// <summary>Applies one command.</summary>
    /// <param name="command">Nothing of it is changed; its lists are copied.</param>
    /// <param name="stamp">Cluster time in milliseconds; never falls from one call to the next.</param>
    /// <param name="changes">Receives what is to be persisted; not cleared here.</param>
    public ApplyStatus Apply(QueueCommand command, long stamp, QueueChanges changes)
    {
        _suspects.Expire(stamp, changes);
        _tombstones.Expire(stamp, ref _marks, changes);
        return command switch
        {
            EnqueueCommand enqueue => ApplyEnqueue(enqueue, stamp, changes),
            AbandonCommand abandon => ApplyAbandon(abandon, stamp, changes),
            WithdrawCommand withdraw => ApplyWithdraw(withdraw, stamp, changes),
            ReportUnreadReplyCommand report => ApplyReportUnreadReply(report, stamp, changes),
            AttemptStartedCommand started => ApplyAttemptStarted(started, changes),
            AttemptEndedCommand ended => ApplyAttemptEnded(ended, stamp, changes),
            OwnerRestartedCommand restarted => ApplyOwnerRestarted(restarted, stamp, changes),
            _ => ApplyStatus.Invalid,
        };
    }

    private ApplyStatus ApplyEnqueue(EnqueueCommand command, long stamp, QueueChanges changes)
    {
        var status = command.Id.Milliseconds <= _marks.IdFloor ? ApplyStatus.Abandoned : CheckEnqueue(command);
        if (status == ApplyStatus.Accepted)
        {
            Enqueue(command, stamp, changes);
        }

        return status;
    }

    private ApplyStatus ApplyAbandon(AbandonCommand command, long stamp, QueueChanges changes)
    {
        if (_messages.ContainsKey(command.Id) || _finished.Contains(command.Id))
        {
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

    private ApplyStatus ApplyAttemptStarted(AttemptStartedCommand command, QueueChanges changes)
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
            if (recipient.State != RecipientState.Queued || command.Attempt <= recipient.Attempts)
            {
                return ApplyStatus.Conflict;
            }

            recipients[index] = recipient with
            {
                State = RecipientState.Attempting,
                Attempts = command.Attempt,
                OpenAttempt = command.Attempt,
            };
        }

        Replace(message with { Recipients = recipients }, changes);
        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyAttemptEnded(AttemptEndedCommand command, long stamp, QueueChanges changes)
    {
        // The recipients are judged before the notices, so that a command proposed twice is told that it is superseded.
        var status = Settle(command, out var message, out var recipients);
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
            Replace(message! with { Recipients = recipients! }, changes);
        }

        foreach (var notice in command.Notices)
        {
            Enqueue(notice, stamp, changes);
        }

        return ApplyStatus.Accepted;
    }

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

    /// <summary>What the recipients become by an AttemptEnded, or why it is refused. Changes nothing.</summary>
    private ApplyStatus Settle(AttemptEndedCommand command, out QueuedMessage? message, out QueuedRecipient[]? recipients)
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
            if (recipient.State == RecipientState.Queued)
            {
                if (command.Epoch != message.Epoch)
                {
                    return ApplyStatus.StaleEpoch;
                }

                if (command.Attempt <= recipient.Attempts)
                {
                    return ApplyStatus.Conflict;
                }
            }
            else if (recipient.State != RecipientState.Attempting || recipient.OpenAttempt != command.Attempt)
            {
                return ApplyStatus.Conflict;
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
        NextAttemptAt = result.NextAttemptAt,
        LastResult = Shared(result),
        DelayNoticed = recipient.DelayNoticed || result.DelayNoticed,
    };

    private ApplyStatus CheckEnqueue(EnqueueCommand command)
    {
        if (command.Envelope is not { ReversePath: not null, Recipients: { Count: > 0 } recipients }
            || recipients.Count > _limits.MaxRecipients || command.Size < 0 || command.BodyHash.Length > 64
            || command.Owner is null || command.Tenant is null || command.Holders is null)
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

        return _tombstones.Contains(command.Id) || _finished.Contains(command.Id) ? ApplyStatus.Abandoned : ApplyStatus.Accepted;
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
            command.Size, command.Traits, command.BodyHash.ToArray(), ShareHolders(command.Holders), owner,
            EpochOf(owner), stamp, _shared.Share(command.Tenant));
        Put(message);
        changes.Messages.Add(new QueueChange(message.Id, message));
    }

    private void Put(QueuedMessage message)
    {
        if (_messages.TryGetValue(message.Id, out var before))
        {
            Tally(before, -1);
        }

        _messages[message.Id] = message;
        Tally(message, +1);
    }

    private void Replace(QueuedMessage message, QueueChanges changes)
    {
        Put(message);
        changes.Messages.Add(new QueueChange(message.Id, message));
    }

    private void Remove(QueuedMessage message, QueueChanges changes)
    {
        Tally(message, -1);
        _messages.Remove(message.Id);
        changes.Messages.Add(new QueueChange(message.Id, null));
        changes.ReleasedBodies.Add(message.Id);
    }

    private void Tally(QueuedMessage message, int sign)
    {
        _octets += sign * message.Size;
        var attempted = false;
        foreach (var recipient in message.Recipients)
        {
            if (recipient.State == RecipientState.Attempting)
            {
                _ = sign > 0 ? _attempting.Add(message.Id) : _attempting.Remove(message.Id);
                return;
            }

            attempted |= recipient.Attempts > 0;
        }

        _ = attempted ? _deferredCount += sign : _queuedCount += sign;
    }

    private void List(
        QueueId id, string recipient, int attempt, SuspectReason reason, string detail, long stamp, QueueChanges changes) =>
        _suspects.Add(new Suspect(id, recipient, attempt, reason, stamp, detail), ref _marks, changes);

    private IReadOnlyList<BodyHolder> ShareHolders(IReadOnlyList<BodyHolder> holders)
    {
        if (!_lastHolders.SequenceEqual(holders))
        {
            _lastHolders = holders.Select(h => h with { Node = _shared.Share(h.Node ?? "") }).ToArray();
        }

        return _lastHolders;
    }

    private QueuedRecipient[] ShareRecipients(IReadOnlyList<QueuedRecipient> recipients)
    {
        var shared = ToArray(recipients);
        for (var i = 0; i < shared.Length; i++)
        {
            if (shared[i].LastResult is { } result)
            {
                shared[i] = shared[i] with { LastResult = Shared(result) };
            }
        }

        return shared;
    }

    private RecipientResult Shared(RecipientResult result) => result with
    {
        Reply = _shared.Share(Cut(result.Reply)),
        EnhancedCode = _shared.Share(Cut(result.EnhancedCode)),
        NextHop = _shared.Share(Cut(result.NextHop)),
    };

    private string Cut(string? text) =>
        text is null ? "" : text.Length <= _limits.MaxText ? text : text[.._limits.MaxText];

    private bool IsAttempt(int attempt) => attempt >= 1 && attempt <= _limits.MaxAttempt;

    private static bool HasDelivery(IReadOnlyList<RecipientResult>? results) =>
        results is not null && results.Any(static r => r?.Outcome == RecipientOutcome.Delivered);

    private static QueuedRecipient[] ToArray(IReadOnlyList<QueuedRecipient> recipients)
    {
        var copy = new QueuedRecipient[recipients.Count];
        for (var i = 0; i < copy.Length; i++)
        {
            copy[i] = recipients[i];
        }

        return copy;
    }
}
