namespace Quorumail.Core.Queue;

/// <summary>The suspects in order of listing; bounded in number and age.</summary>
internal sealed class SuspectList(QueueLimits limits)
{
    private readonly Queue<ListedSuspect> _listed = new();

    public int Count => _listed.Count;

    public IEnumerable<ListedSuspect> All => _listed;

    public void Restore(ListedSuspect suspect) => _listed.Enqueue(suspect);

    public void Add(Suspect suspect, ref QueueMarks marks, QueueChanges changes)
    {
        var listed = new ListedSuspect(marks.NextSuspect, suspect);
        marks = marks with { NextSuspect = marks.NextSuspect + 1 };
        changes.MarksChanged = true;
        _listed.Enqueue(listed);
        changes.SuspectsListed.Add(listed);
        while (_listed.Count > limits.MaxSuspects)
        {
            changes.SuspectsDropped.Add(_listed.Dequeue().Sequence);
            marks = marks with { SuspectsOverflowed = marks.SuspectsOverflowed + 1 };
        }
    }

    public void Expire(long stamp, QueueChanges changes)
    {
        while (_listed.TryPeek(out var oldest) && stamp - oldest.Suspect.ListedAt > limits.SuspectLifetime)
        {
            _listed.Dequeue();
            changes.SuspectsDropped.Add(oldest.Sequence);
        }
    }
}
