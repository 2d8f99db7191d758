namespace Quorumail.Core.Delivery;

/// <summary>The recipients of one message that wait for one destination.</summary>
internal sealed class SchedulerEntry(SchedulerMessage message, SchedulerLane lane)
{
    private static readonly int[] OnlyFirst = [0];

    public SchedulerMessage Message { get; } = message;

    public SchedulerLane Lane { get; } = lane;

    /// <summary>Indexes of the waiting recipients, ascending. Shared between entries when it is the usual [0]: never written to.</summary>
    public int[] Waiting { get; private set; } = [];

    /// <summary>Not before this, after a result could not be recorded.</summary>
    public long NotBefore { get; set; }

    public long DueAt { get; set; }

    public long DeadlineAt { get; set; }

    public long WakeAt { get; set; }

    public long WakeSequence { get; set; }

    public int HeapIndex { get; set; } = -1;

    public EntryPlace Place { get; set; }

    /// <summary>Its waiting recipients have changed and its times are to be computed anew.</summary>
    public bool IsTouched { get; set; }

    public SchedulerEntry? Previous { get; set; }

    public SchedulerEntry? Next { get; set; }

    public void Add(int recipient)
    {
        if (Waiting.Length == 0)
        {
            Waiting = recipient == 0 ? OnlyFirst : [recipient];
            return;
        }

        var at = Array.BinarySearch(Waiting, recipient);
        if (at < 0)
        {
            at = ~at;
            var more = new int[Waiting.Length + 1];
            Waiting.AsSpan(0, at).CopyTo(more);
            more[at] = recipient;
            Waiting.AsSpan(at).CopyTo(more.AsSpan(at + 1));
            Waiting = more;
        }
    }

    public void Remove(int recipient)
    {
        var at = Array.BinarySearch(Waiting, recipient);
        if (at >= 0)
        {
            Keep(Waiting.Length == 1 ? [] : [.. Waiting.AsSpan(0, at), .. Waiting.AsSpan(at + 1)]);
        }
    }

    public void Keep(int[] recipients) => Waiting = recipients;
}

/// <summary>In which list an entry stands, besides the heap.</summary>
internal enum EntryPlace : byte
{
    None = 0,
    Ready = 1,
    Deadline = 2,
}
