using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>What survives a crash: synced bodies, the queue's last flush, and the ids that must still be taken back.</summary>
internal sealed class ModelDisk(Oracle oracle)
{
    private readonly Dictionary<QueueId, ModelBody> _unsynced = [];

    public SortedDictionary<QueueId, ModelBody> Bodies { get; } = [];

    /// <summary>Written before the 451 goes out.</summary>
    public SortedSet<QueueId> Retractions { get; } = [];

    public QueueRecords Flushed { get; private set; } = new(QueueMarks.Initial, [], [], [], []);

    /// <summary>Commands of the log that are in <see cref="Flushed"/>.</summary>
    public int FlushedCount { get; private set; }

    public void Write(QueueId id, ModelBody body) => _unsynced[id] = body;

    public void Sync(QueueId id)
    {
        if (_unsynced.Remove(id, out var body))
        {
            Bodies[id] = body;
        }
    }

    public void Delete(QueueId id)
    {
        _unsynced.Remove(id);
        if (Bodies.Remove(id))
        {
            oracle.CheckDeleted(id);
        }
    }

    public void Flush(QueueState state, int count)
    {
        Flushed = new QueueRecords(
            state.Marks, [.. state.OwnerEpochs], [.. state.Tombstones], [.. state.Suspects], [.. state.Messages])
        {
            Finished = [.. state.Finished],
        };
        FlushedCount = count;
    }

    /// <summary>What was not synced is there or not, as it pleases the disk.</summary>
    public void LosePower(Random random)
    {
        foreach (var (id, body) in _unsynced.OrderBy(b => b.Key))
        {
            if (random.Next(2) == 0)
            {
                Bodies[id] = body;
            }
        }

        _unsynced.Clear();
    }
}
