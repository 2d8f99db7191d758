namespace Quorumail.Core.Delivery;

/// <summary>A queue of entries, linked through them, from whose middle one can be taken.</summary>
internal sealed class EntryList
{
    private SchedulerEntry? _last;

    public SchedulerEntry? First { get; private set; }

    public void Append(SchedulerEntry entry)
    {
        entry.Previous = _last;
        entry.Next = null;
        if (_last is null)
        {
            First = entry;
        }
        else
        {
            _last.Next = entry;
        }

        _last = entry;
    }

    public void Remove(SchedulerEntry entry)
    {
        if (entry.Previous is { } previous)
        {
            previous.Next = entry.Next;
        }
        else
        {
            First = entry.Next;
        }

        if (entry.Next is { } next)
        {
            next.Previous = entry.Previous;
        }
        else
        {
            _last = entry.Previous;
        }

        entry.Previous = null;
        entry.Next = null;
    }
}
