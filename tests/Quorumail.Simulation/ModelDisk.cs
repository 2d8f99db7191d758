using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Core.Tests.Queue;

namespace Quorumail.Simulation;

/// <summary>What survives a crash: synced bodies, the queue's last flush, and the ids that must still be taken back.</summary>
internal sealed class ModelDisk(Oracle oracle, long incarnation = 1)
{
    private readonly Dictionary<QueueId, ModelBody> _unsynced = [];
    private readonly Dictionary<QueueId, ModelBody> _carried = [];

    public SortedDictionary<QueueId, ModelBody> Bodies { get; } = [];

    /// <summary>Written before the 451 goes out.</summary>
    public SortedSet<QueueId> Retractions { get; } = [];

    public QueueStore Records { get; private set; } = new();

    /// <summary>Rises when everything on it is lost.</summary>
    public long Incarnation { get; private set; } = incarnation;

    /// <summary>Rises with each start.</summary>
    public long Life { get; set; }

    /// <summary>Commands of the log that are in <see cref="Records"/>.</summary>
    public int FlushedCount { get; private set; }

    /// <summary>The records came from another node, and bodies that they tell of may be missing.</summary>
    public bool IsUnchecked { get; set; }

    /// <summary>How wrong its machine's wall clock is, in milliseconds.</summary>
    public long WallError { get; set; }

    /// <summary>A flush takes seconds.</summary>
    public bool IsSlow { get; set; }

    /// <summary>How long the next flush takes, in milliseconds.</summary>
    public long SyncTime(Simulator simulator) => IsSlow ? simulator.Between(300, 8000) : simulator.Between(1, 20);

    public void Write(QueueId id, ModelBody body) => _unsynced[id] = body;

    /// <summary>Takes what came in the log; it is written with the records that the log makes.</summary>
    public void Carry(QueueId id, ModelBody body) => _carried[id] = body;

    public ModelBody? Find(QueueId id) => Bodies.GetValueOrDefault(id) ?? _carried.GetValueOrDefault(id);

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
        _carried.Remove(id);
        if (Bodies.Remove(id))
        {
            oracle.CheckDeleted(id);
        }
    }

    /// <summary>Writes what the commands up to here have changed.</summary>
    public void Flush(QueueState state, List<QueueChanges> changes, int count)
    {
        changes.ForEach(c => Records.Write(c, state));
        changes.Clear();
        FlushedCount = count;
        foreach (var (id, body) in _carried)
        {
            Bodies[id] = body;
        }

        _carried.Clear();
    }

    /// <summary>Another node's records take the place of these.</summary>
    public void TakeSnapshot(QueueState state, int count)
    {
        Records = QueueStore.Of(state);
        FlushedCount = count;
        IsUnchecked = true;
    }

    /// <summary>Everything is lost; with it what the node alone knew: that it has answered 451 and not yet taken the message back.</summary>
    public void Wipe()
    {
        Incarnation++;
        _unsynced.Clear();
        Bodies.Clear();
        oracle.Excuse(Retractions);
        Retractions.Clear();
        Records = new QueueStore();
        FlushedCount = 0;
        IsUnchecked = false;
        _carried.Clear();
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
        _carried.Clear();
    }
}
