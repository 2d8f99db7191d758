using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>
/// The ids that were given up, in order. One that is forgotten, by age or number, raises the id floor to its time:
/// from then on every Enqueue with an id of that time or before is refused, so that forgetting never lets a given-up
/// message in. New ids must be above the floor (see <see cref="QueueState.IdFloor"/>).
/// </summary>
internal sealed class TombstoneList(QueueLimits limits)
{
    private readonly Queue<Tombstone> _order = new();
    private readonly HashSet<QueueId> _ids = [];

    public int Count => _order.Count;

    public IEnumerable<Tombstone> All => _order;

    public bool Contains(QueueId id) => _ids.Contains(id);

    public void Restore(Tombstone tombstone)
    {
        if (_ids.Add(tombstone.Id))
        {
            _order.Enqueue(tombstone);
        }
    }

    public void Set(QueueId id, long stamp, ref QueueMarks marks, QueueChanges changes)
    {
        if (!_ids.Add(id))
        {
            return;
        }

        var tombstone = new Tombstone(marks.NextTombstone, id, stamp);
        marks = marks with { NextTombstone = marks.NextTombstone + 1 };
        changes.MarksChanged = true;
        _order.Enqueue(tombstone);
        changes.TombstonesSet.Add(tombstone);
        while (_order.Count > limits.MaxTombstones)
        {
            ForgetOldest(ref marks, changes);
        }
    }

    public void Expire(long stamp, ref QueueMarks marks, QueueChanges changes)
    {
        while (_order.TryPeek(out var oldest) && stamp - oldest.SetAt > limits.TombstoneLifetime)
        {
            ForgetOldest(ref marks, changes);
        }
    }

    private void ForgetOldest(ref QueueMarks marks, QueueChanges changes)
    {
        var oldest = _order.Dequeue();
        _ids.Remove(oldest.Id);
        changes.TombstonesForgotten.Add(oldest.Sequence);
        if (oldest.Id.Milliseconds > marks.IdFloor)
        {
            marks = marks with { IdFloor = oldest.Id.Milliseconds };
            changes.MarksChanged = true;
        }
    }
}
