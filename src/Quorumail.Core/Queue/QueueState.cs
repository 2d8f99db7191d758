using System.Diagnostics.CodeAnalysis;
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
public sealed partial class QueueState
{
    private readonly QueueLimits _limits;
    private readonly Dictionary<QueueId, QueuedMessage> _messages = [];
    private readonly SortedSet<QueueId> _attempting = [];
    private readonly Dictionary<string, long> _ownerEpochs = new(StringComparer.Ordinal);
    private readonly SuspectList _suspects;
    private readonly TombstoneList _tombstones;
    private readonly FinishedRing _finished;
    private readonly SharedStrings _shared = new();
    private readonly SharedHolders _sharedHolders;
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
        _suspensions = new SuspensionList(_limits);
        _sharedHolders = new SharedHolders(_shared);
    }

    /// <summary>Messages in the queue.</summary>
    public int Count => _messages.Count;

    /// <summary>How many messages stand where.</summary>
    public QueueCounts Counts => new(_queuedCount, _attempting.Count, _deferredCount, _octets) { Held = _heldCount };

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
        var state = new QueueState(limits) { _marks = records.Marks, _members = records.Members };
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

        foreach (var suspension in records.Suspensions)
        {
            state._suspensions.Set(suspension);
        }

        foreach (var removal in records.Removals)
        {
            state._removals.Enqueue(removal);
        }

        state._placements.AddRange(records.Placements);
        var views = state._placements.Select(_ => new Dictionary<object, HolderView>(ReferenceEqualityComparer.Instance)).ToArray();
        foreach (var record in records.Messages)
        {
            var message = state.Follow(record with { Holders = state._sharedHolders.Share(record.Holders) }, views);
            state.Put(message with
            {
                Owner = state._shared.Share(message.Owner),
                Tenant = state._shared.Share(message.Tenant),
                ReversePath = state._shared.Share(message.ReversePath),
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

    /// <summary>Whether a message is known to have come to its end, or to have been given up: it never comes into the queue (again).</summary>
    public bool IsOver(QueueId id) => _finished.Contains(id) || _tombstones.Contains(id);

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
        RenewMoved(stamp, changes);
        ExpireSuspensions(stamp, changes);
        return command switch
        {
            EnqueueCommand enqueue => ApplyEnqueue(enqueue, stamp, changes),
            AbandonCommand abandon => ApplyAbandon(abandon, stamp, changes),
            WithdrawCommand withdraw => ApplyWithdraw(withdraw, stamp, changes),
            ReportUnreadReplyCommand report => ApplyReportUnreadReply(report, stamp, changes),
            AttemptStartedCommand started => ApplyAttemptStarted(started, stamp, changes),
            AttemptEndedCommand ended => ApplyAttemptEnded(ended, stamp, changes),
            AttemptGivenUpCommand givenUp => ApplyAttemptGivenUp(givenUp, stamp, changes),
            OwnerRestartedCommand restarted => ApplyOwnerRestarted(restarted, stamp, changes),
            NodesChangedCommand nodes => ApplyNodesChanged(nodes, stamp, changes),
            NodeDownCommand down => ApplyNodeDown(down, stamp, changes),
            NodeUpCommand up => ApplyNodeUp(up, stamp, changes),
            NodeDrainingCommand draining => ApplyNodeDraining(draining, stamp, changes),
            HoldersChangedCommand holders => ApplyHoldersChanged(holders, changes),
            AdministerCommand administer => ApplyAdminister(administer, stamp, changes),
            SuspendCommand suspend => ApplySuspend(suspend, stamp, changes),
            ResumeCommand resume => ApplyResume(resume, changes),
            _ => ApplyStatus.Invalid,
        };
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
        var placed = _members is null ? 0 : _marks.LastEpoch;
        if (message.Placed != placed)
        {
            message = message with { Placed = placed };
        }

        Put(message);
        changes.Messages.Add(new QueueChange(message.Id, message));
    }

    /// <summary>Replaces a message, with another owner if nothing keeps it with its own any more.</summary>
    private void ReplaceAndPlace(QueuedMessage message, QueueChanges changes) => Replace(
        Place(message) is { } owner ? message with { Owner = owner, Epoch = NextEpoch(changes) } : message, changes);

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
        CountOwner(message.Owner, sign);
        CountCopies(message, sign);
        switch (message.State)
        {
            case MessageState.Attempting:
                _ = sign > 0 ? _attempting.Add(message.Id) : _attempting.Remove(message.Id);
                break;
            case MessageState.Held:
                _heldCount += sign;
                break;
            case MessageState.Deferred:
                _deferredCount += sign;
                break;
            default:
                _queuedCount += sign;
                break;
        }
    }

    private void List(
        QueueId id, string recipient, int attempt, SuspectReason reason, string detail, long stamp, QueueChanges changes) =>
        _suspects.Add(new Suspect(id, recipient, attempt, reason, stamp, detail), ref _marks, changes);

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
