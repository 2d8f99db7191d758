using Quorumail.Core.Limits;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Queue;

/// <summary>Gathers the records of a snapshot for the state in memory.</summary>
internal sealed class QueueSnapshotLoad
{
    private readonly List<KeyValuePair<string, long>> _ownerEpochs = [];
    private readonly List<Tombstone> _tombstones = [];
    private readonly List<ListedSuspect> _suspects = [];
    private readonly List<FinishedId> _finished = [];
    private readonly List<QueuedMessage> _messages = [];
    private QueueMarks _marks = QueueMarks.Initial;
    private readonly List<Suspension> _suspensions = [];
    private readonly List<Removal> _removals = [];
    private QueueMembers? _members;

    /// <summary>The limits; null for none.</summary>
    public LimitRecords? Limits { get; private set; }

    public List<QueueSnapshotRecord> Batch { get; } = [];

    public void Add(QueueSnapshotRecord record)
    {
        switch (record.Value)
        {
            case QueuedMessage message:
                _messages.Add(message);
                break;
            case ListedSuspect suspect:
                _suspects.Add(suspect);
                break;
            case Tombstone tombstone:
                _tombstones.Add(tombstone);
                break;
            case FinishedId finished:
                _finished.Add(finished);
                break;
            case KeyValuePair<string, long> ownerEpoch:
                _ownerEpochs.Add(ownerEpoch);
                break;
            case QueueMarks marks:
                _marks = marks;
                break;
            case QueueMembers members:
                _members = members;
                break;
            case Suspension suspension:
                _suspensions.Add(suspension);
                break;
            case Removal removal:
                _removals.Add(removal);
                break;
            case LimitRecords limits:
                Limits = limits;
                break;
            default:
                return;
        }

        Batch.Add(record);
    }

    public QueueState Restore() =>
        QueueState.Restore(new QueueRecords(_marks, _ownerEpochs, _tombstones, _suspects, _messages)
        {
            Finished = _finished,
            Members = _members,
            Suspensions = _suspensions,
            Removals = _removals,
        });
}
