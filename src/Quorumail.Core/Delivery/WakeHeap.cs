namespace Quorumail.Core.Delivery;

/// <summary>
/// Entries by the time at which the scheduler must look at them; equal times in the order of insertion. Entries know
/// their place, so that they can be moved and removed in O(log n): nothing stale stays behind.
/// </summary>
internal sealed class WakeHeap
{
    private const int Arity = 4;
    private SchedulerEntry[] _heap = new SchedulerEntry[16];
    private int _count;
    private long _sequence;

    public SchedulerEntry? Earliest => _count > 0 ? _heap[0] : null;

    /// <summary>Inserts the entry, or moves it.</summary>
    public void Set(SchedulerEntry entry, long wakeAt)
    {
        entry.WakeAt = wakeAt;
        entry.WakeSequence = _sequence++;
        if (entry.HeapIndex < 0)
        {
            if (_count == _heap.Length)
            {
                Array.Resize(ref _heap, _count * 2);
            }

            entry.HeapIndex = _count++;
            _heap[entry.HeapIndex] = entry;
        }

        Down(entry, Up(entry, entry.HeapIndex));
    }

    public void Remove(SchedulerEntry entry)
    {
        var index = entry.HeapIndex;
        if (index < 0)
        {
            return;
        }

        entry.HeapIndex = -1;
        var last = _heap[--_count];
        _heap[_count] = null!;
        if (!ReferenceEquals(last, entry))
        {
            last.HeapIndex = index;
            _heap[index] = last;
            Down(last, Up(last, index));
        }
        else if (_heap.Length > 1024 && _count < _heap.Length / 4)
        {
            Array.Resize(ref _heap, _heap.Length / 2);
        }
    }

    private static bool IsBefore(SchedulerEntry left, SchedulerEntry right) =>
        left.WakeAt < right.WakeAt || (left.WakeAt == right.WakeAt && left.WakeSequence < right.WakeSequence);

    private int Up(SchedulerEntry entry, int index)
    {
        while (index > 0)
        {
            var parent = (index - 1) / Arity;
            if (!IsBefore(entry, _heap[parent]))
            {
                break;
            }

            Place(_heap[parent], index);
            index = parent;
        }

        Place(entry, index);
        return index;
    }

    private void Down(SchedulerEntry entry, int index)
    {
        while (true)
        {
            var first = index * Arity + 1;
            if (first >= _count)
            {
                break;
            }

            var least = first;
            for (var child = first + 1; child < first + Arity && child < _count; child++)
            {
                if (IsBefore(_heap[child], _heap[least]))
                {
                    least = child;
                }
            }

            if (!IsBefore(_heap[least], entry))
            {
                break;
            }

            Place(_heap[least], index);
            index = least;
        }

        Place(entry, index);
    }

    private void Place(SchedulerEntry entry, int index)
    {
        _heap[index] = entry;
        entry.HeapIndex = index;
    }
}
