using System.Runtime.InteropServices;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <content>Members, owners and their lives.</content>
public sealed partial class QueueState
{
    private const int MaxViews = 4096;

    // Of the present members; lists of holders are shared by many messages.
    private readonly Dictionary<object, HolderView> _views = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, int> _ownedBy = new(StringComparer.Ordinal);
    private readonly List<Placement> _placements = [];
    private readonly Queue<QueueId> _moved = new();
    private QueueMembers? _members;
    private long _renewAt;

    /// <summary>The cluster's members; null for a queue that stands alone.</summary>
    public QueueMembers? Members => _members;

    /// <summary>Changes of the members that stand for records not yet written again, in order of their epoch.</summary>
    public IReadOnlyList<Placement> Placements => _placements;

    /// <summary>Number of messages that a node owns.</summary>
    public int CountOwnedBy(string node) => _ownedBy.GetValueOrDefault(node);

    /// <summary>The messages that a node owns, in no particular order; looks at all there are.</summary>
    public IEnumerable<QueuedMessage> MessagesOwnedBy(string node) =>
        CountOwnedBy(node) == 0 ? [] : _messages.Values.Where(m => string.Equals(m.Owner, node, StringComparison.Ordinal));

    private ApplyStatus ApplyNodesChanged(NodesChangedCommand command, long stamp, QueueChanges changes)
    {
        if (command.Nodes is not { Count: > 0 } nodes || nodes.Count > _limits.MaxNodes
            || command.MinCopies < 1 || command.MinCopies > nodes.Count
            || command.InDoubtWait < 0 || command.InDoubtWait > _limits.MaxInDoubtWait
            || nodes.Any(n => !IsName(n.Node)) || nodes.DistinctBy(n => n.Node, StringComparer.Ordinal).Count() < nodes.Count)
        {
            return ApplyStatus.Invalid;
        }

        if (command.Version < _members?.Version)
        {
            return ApplyStatus.StaleEpoch;
        }

        var next = new QueueMembers(command.Version, command.MinCopies, command.InDoubtWait,
        [
            .. nodes.OrderBy(n => n.Node, StringComparer.Ordinal).Select(n =>
                _members?.Find(n.Node) is { } known && known.Incarnation == n.Incarnation
                    ? known
                    : new QueueNode(_shared.Share(n.Node), n.Incarnation, 0, IsDown: false, IsDraining: false)),
        ]);
        if (!next.Equals(_members))
        {
            var lost = _members?.Nodes.Where(n => next.Find(n.Name)?.Incarnation != n.Incarnation).Select(n => n.Name);
            ChangeMembers(next, [.. lost ?? []], stamp, changes);
        }

        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyNodeDown(NodeDownCommand command, long stamp, QueueChanges changes)
    {
        if (FindMember(command.Node, command.Incarnation) is not { } node)
        {
            return ApplyStatus.NotFound;
        }

        if (node.IsDown)
        {
            return ApplyStatus.Conflict;
        }

        ChangeMembers(_members!.With(node with { IsDown = true }), [node.Name], stamp, changes);
        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyNodeUp(NodeUpCommand command, long stamp, QueueChanges changes)
    {
        if (FindMember(command.Node, command.Incarnation) is not { } node)
        {
            return ApplyStatus.NotFound;
        }

        if (command.Life < node.Life)
        {
            return ApplyStatus.StaleEpoch;
        }

        if (command.Life == node.Life && !node.IsDown)
        {
            return ApplyStatus.Conflict;
        }

        var isSameLife = command.Life == node.Life;
        var next = node with { IsDown = false, Life = command.Life, IsDraining = node.IsDraining && isSameLife, IsVacating = node.IsVacating && isSameLife };
        ChangeMembers(_members!.With(next), [node.Name], stamp, changes);
        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyNodeDraining(NodeDrainingCommand command, long stamp, QueueChanges changes)
    {
        if (command.Node is null || _members?.Find(command.Node) is not { } node)
        {
            return ApplyStatus.NotFound;
        }

        var next = node with { IsDraining = command.IsDraining, IsVacating = command.IsDraining && (command.IsVacating || node.IsVacating) };
        if (next.IsDraining != node.IsDraining)
        {
            ChangeMembers(_members.With(next), [], stamp, changes);
        }
        else if (next.IsVacating != node.IsVacating)
        {
            // No owner changes, so no epoch does; only what is missing.
            _members = _members.With(next);
            _views.Clear();
            changes.MembersChanged = true;
            CountAllCopies(_members);
        }

        return ApplyStatus.Accepted;
    }

    private ApplyStatus ApplyOwnerRestarted(OwnerRestartedCommand command, long stamp, QueueChanges changes)
    {
        if (!IsName(command.Owner))
        {
            return ApplyStatus.Invalid;
        }

        var owner = command.Owner;
        var epoch = NextEpoch(changes);
        RaiseEpoch(owner, epoch, changes);
        LoseAttempts(other => string.Equals(other, owner, StringComparison.Ordinal), epoch, stamp, changes);

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

    /// <summary>Lets other members hold, and decides all owners anew.</summary>
    /// <param name="next">The members from now on.</param>
    /// <param name="raised">Nodes whose lives have ended or begun: nothing of before applies any more.</param>
    /// <param name="stamp">Cluster time.</param>
    /// <param name="changes">Receives what changes.</param>
    private void ChangeMembers(QueueMembers next, IReadOnlyList<string> raised, long stamp, QueueChanges changes)
    {
        var before = _members;
        var epoch = NextEpoch(changes);
        foreach (var node in raised)
        {
            RaiseEpoch(node, epoch, changes);
        }

        _members = next;
        _views.Clear();
        changes.MembersChanged = true;
        LoseAttempts(IsLost, epoch, stamp, changes);
        if (PlaceAll(next, epoch, changes))
        {
            var placement = new Placement(epoch, next);
            _placements.Add(placement);
            changes.Placements.Add(placement);
        }

        bool IsLost(string owner) => next.Find(owner) is not { IsDown: false } now
            || (before?.Find(owner) is { } then && (then.Incarnation != now.Incarnation || then.Life != now.Life));
    }

    /// <summary>Gives every message that needs one another owner; returns whether there was any. Counts anew what depends on the members.</summary>
    private bool PlaceAll(QueueMembers members, long epoch, QueueChanges changes)
    {
        var any = false;
        ForgetCopies();
        foreach (var id in _messages.Keys)
        {
            ref var message = ref CollectionsMarshal.GetValueRefOrNullRef(_messages, id);
            var view = ViewOf(message.Holders, members);
            var from = message.Owner;
            if (members.Place(message, view) is { } owner)
            {
                message = message with { Owner = owner, Epoch = epoch, Placed = epoch };
                CountOwner(from, -1);
                CountOwner(owner, +1);
                _moved.Enqueue(id);
                any = true;
                changes.Moved.Add(new OwnerMove(message, from));
            }
            else if (EpochOf(from) > message.Epoch)
            {
                // As after OwnerRestarted: not persisted, Restore raises it from the owner's.
                message = message with { Epoch = EpochOf(from) };
                changes.Moved.Add(new OwnerMove(message, from));
            }

            CountCopies(message, view, +1);
        }

        return any;
    }

    /// <summary>Open attempts of owners that are gone: waited for in a cluster; over, and listed, without one.</summary>
    private void LoseAttempts(Func<string, bool> isLost, long epoch, long stamp, QueueChanges changes)
    {
        foreach (var id in _attempting.ToArray())
        {
            var message = _messages[id];
            if (!message.IsAttempting || !isLost(message.Owner))
            {
                continue;
            }

            message = message with
            {
                Epoch = epoch,
                Recipients = _members is { } members ? AwaitLost(message, stamp + members.InDoubtWait) : CloseLost(message, stamp, changes),
            };
            Replace(Place(message) is { } owner ? message with { Owner = owner } : message, changes);
        }
    }

    private static QueuedRecipient[] AwaitLost(QueuedMessage message, long until)
    {
        var recipients = ToArray(message.Recipients);
        for (var i = 0; i < recipients.Length; i++)
        {
            if (recipients[i].State == RecipientState.Attempting)
            {
                recipients[i] = recipients[i] with { State = RecipientState.OwnerLost, NextAttemptAt = until };
            }
        }

        return recipients;
    }

    private QueuedRecipient[] CloseLost(QueuedMessage message, long stamp, QueueChanges changes)
    {
        var recipients = ToArray(message.Recipients);
        for (var i = 0; i < recipients.Length; i++)
        {
            var recipient = recipients[i];
            if (recipient.State == RecipientState.Attempting)
            {
                ListLost(message.Id, recipient, stamp, changes);
                recipients[i] = recipient with
                {
                    State = RecipientState.Queued,
                    OpenAttempt = 0,
                    OpenEpoch = 0,
                    NextAttemptAt = stamp,
                };
            }
        }

        return recipients;
    }

    private void ListLost(QueueId id, QueuedRecipient recipient, long stamp, QueueChanges changes) =>
        List(id, recipient.Envelope.Address, recipient.OpenAttempt, SuspectReason.OwnerLost,
            "the owner was lost during the attempt", stamp, changes);

    /// <summary>Writes moved messages again, a bounded number at a time, and drops the placements when none needs them.</summary>
    private void RenewMoved(long stamp, QueueChanges changes)
    {
        if (_placements.Count == 0 || (stamp < _renewAt && _placements.Count < _limits.MaxPlacements))
        {
            return;
        }

        _renewAt = stamp + _limits.SaveInterval;
        var count = _placements.Count < _limits.MaxPlacements ? Math.Min(_moved.Count, _limits.MovesPerSave) : _moved.Count;
        for (; count > 0; count--)
        {
            if (_messages.TryGetValue(_moved.Dequeue(), out var message))
            {
                changes.Renewed.Add(message);
            }
        }

        if (_moved.Count == 0)
        {
            changes.PlacementsDropped.AddRange(_placements.Select(p => p.Epoch));
            _placements.Clear();
            _moved.TrimExcess();
        }
    }

    /// <summary>A message as it stands, of a record that may be older than the latest placements.</summary>
    /// <param name="message">As recorded, with a shared list of holders.</param>
    /// <param name="views">For each placement what was found out about lists of holders so far.</param>
    private QueuedMessage Follow(QueuedMessage message, Dictionary<object, HolderView>[] views)
    {
        var isMoved = false;
        for (var i = 0; i < _placements.Count; i++)
        {
            var (epoch, members) = _placements[i];
            if (epoch <= message.Placed)
            {
                continue;
            }

            ref var view = ref CollectionsMarshal.GetValueRefOrAddDefault(views[i], message.Holders, out var isKnown);
            view = isKnown ? view : members.View(message.Holders);
            if (members.Place(message, view) is { } owner)
            {
                message = message with { Owner = owner, Epoch = epoch, Placed = epoch };
                isMoved = true;
            }
        }

        if (isMoved)
        {
            _moved.Enqueue(message.Id);
        }

        return message;
    }

    private QueueNode? FindMember(string? name, long incarnation) =>
        name is not null && _members?.Find(name) is { } node && node.Incarnation == incarnation ? node : null;

    private long NextEpoch(QueueChanges changes)
    {
        _marks = _marks with { LastEpoch = _marks.LastEpoch + 1 };
        changes.MarksChanged = true;
        return _marks.LastEpoch;
    }

    private void RaiseEpoch(string owner, long epoch, QueueChanges changes)
    {
        _ownerEpochs[owner] = epoch;
        changes.OwnerEpochs.Add(new(owner, epoch));
    }

    private string? Place(QueuedMessage message) =>
        _members is { } members ? members.Place(message, ViewOf(message.Holders, members)) : null;

    private HolderView ViewOf(IReadOnlyList<BodyHolder> holders, QueueMembers members)
    {
        if (_views.Count >= MaxViews)
        {
            _views.Clear();
        }

        ref var view = ref CollectionsMarshal.GetValueRefOrAddDefault(_views, holders, out var isKnown);
        return isKnown ? view : view = members.View(holders);
    }

    private void CountOwner(string owner, int sign) =>
        CollectionsMarshal.GetValueRefOrAddDefault(_ownedBy, owner, out _) += sign;

    private bool IsName(string? name) => name is { Length: > 0 } && name.Length <= _limits.MaxText;
}
