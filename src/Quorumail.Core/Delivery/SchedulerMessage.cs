using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>What the scheduler knows of one message.</summary>
internal sealed class SchedulerMessage(QueuedMessage latest)
{
    private Dictionary<SchedulerLane, SchedulerEntry>? _more;

    /// <summary>As last observed.</summary>
    public QueuedMessage Latest { get; set; } = latest;

    /// <summary>The entry of most messages, which go to one destination.</summary>
    public SchedulerEntry? First { get; private set; }

    /// <summary>Jobs taken and not yet settled; null for none.</summary>
    public List<JobHold>? Holds { get; set; }

    /// <summary>When it is looked at for lost attempts that are to be given up; 0: not.</summary>
    public long GiveUpAt { get; set; }

    /// <summary>It is proposed to give one up.</summary>
    public bool IsGivingUp { get; set; }

    public bool IsIdle => First is null && _more is null or { Count: 0 } && Holds is null or { Count: 0 };

    public SchedulerEntry? Find(SchedulerLane lane) =>
        First?.Lane == lane ? First : _more?.GetValueOrDefault(lane);

    public void Add(SchedulerEntry entry)
    {
        if (First is null)
        {
            First = entry;
        }
        else
        {
            (_more ??= []).Add(entry.Lane, entry);
        }
    }

    public void Remove(SchedulerEntry entry)
    {
        if (ReferenceEquals(First, entry))
        {
            First = null;
        }
        else
        {
            _more?.Remove(entry.Lane);
        }
    }

    public SchedulerEntry[] Entries() =>
        [.. First is null ? Enumerable.Empty<SchedulerEntry>() : [First], .. _more?.Values.AsEnumerable() ?? []];

    /// <summary>Whether a job has this recipient, or its recorded result has not been observed yet.</summary>
    public bool IsHeld(int recipient)
    {
        foreach (var hold in Holds ?? [])
        {
            if (Array.BinarySearch(hold.Job.Indexes, recipient) >= 0 && !hold.IsSettled(Latest, recipient))
            {
                return true;
            }
        }

        return false;
    }
}

/// <summary>A job that was taken.</summary>
internal sealed class JobHold(DeliveryJob job)
{
    public DeliveryJob Job { get; } = job;

    /// <summary>Its result is recorded in the log.</summary>
    public bool Recorded { get; set; }

    public bool IsSettled(QueuedMessage latest, int recipient) =>
        Recorded && latest.Recipients[recipient] is var r
        && (r.IsFinal || (r.OpenAttempt != Job.Attempt && r.Attempts >= Job.Attempt));

    public bool IsSettled(QueuedMessage latest) => Array.TrueForAll(Job.Indexes, i => IsSettled(latest, i));
}
