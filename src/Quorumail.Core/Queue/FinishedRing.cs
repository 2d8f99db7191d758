using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>
/// The latest messages that have come to their end. A Withdraw that comes after its message was delivered is told from one
/// whose Enqueue never came by it. An id older than the youngest that was forgotten may be either.
/// </summary>
internal sealed class FinishedRing(QueueLimits limits)
{
    private readonly Queue<FinishedId> _order = new();
    private readonly HashSet<QueueId> _ids = [];

    public IEnumerable<FinishedId> All => _order;

    public bool Contains(QueueId id) => _ids.Contains(id);

    public void Restore(FinishedId finished)
    {
        if (_ids.Add(finished.Id))
        {
            _order.Enqueue(finished);
        }
    }

    public void Add(QueueId id, ref QueueMarks marks, QueueChanges changes)
    {
        if (!_ids.Add(id))
        {
            return;
        }

        var finished = new FinishedId(marks.NextFinished, (int)(marks.NextFinished % limits.MaxFinished), id);
        marks = marks with { NextFinished = marks.NextFinished + 1 };
        changes.MarksChanged = true;
        _order.Enqueue(finished);
        changes.Finished.Add(finished);
        while (_order.Count > limits.MaxFinished)
        {
            var oldest = _order.Dequeue();
            _ids.Remove(oldest.Id);
            marks = marks with { FinishedFloor = Math.Max(marks.FinishedFloor, oldest.Id.Milliseconds) };
        }
    }
}
