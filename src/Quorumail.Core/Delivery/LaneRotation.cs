namespace Quorumail.Core.Delivery;

/// <summary>
/// Whose turn it is, and whether there is a place: destinations that can give a job take turns. Those that could not be reached have at most
/// half of the places together, so that they never keep the others waiting. What needs no next hop (mailboxes, mail that is discarded, deadlines) has
/// as many places of its own.
/// </summary>
internal sealed class LaneRotation(DeliveryLimits limits)
{
    private readonly Queue<SchedulerLane> _steady = new();
    private readonly Queue<SchedulerLane> _failing = new();
    private readonly Queue<SchedulerLane> _local = new();
    private readonly int _failingMax = Math.Max(1, limits.Concurrency / 2);
    private int _remoteJobs;
    private int _failingJobs;
    private int _localJobs;
    private bool _isFailingsTurn;

    /// <summary>Jobs under way.</summary>
    public int Jobs => _remoteJobs + _localJobs;

    /// <summary>Whether a job that needs no next hop may begin.</summary>
    public bool HasLocalPlace => _localJobs < limits.Concurrency;

    /// <summary>A job of a lane begins, or ends.</summary>
    public void Count(SchedulerLane lane, int change)
    {
        lane.Active += change;
        if (lane.IsLocal)
        {
            _localJobs += change;
            return;
        }

        _remoteJobs += change;
        _failingJobs += lane.Failures > 0 ? change : 0;
    }

    /// <summary>A job of no lane begins, or ends.</summary>
    public void CountDeadline(int change) => _localJobs += change;

    /// <summary>Says how often in a row a lane could not be reached.</summary>
    public void SetFailures(SchedulerLane lane, int failures)
    {
        if (!lane.IsLocal && lane.Failures > 0 != failures > 0)
        {
            _failingJobs += failures > 0 ? lane.Active : -lane.Active;
        }

        lane.Failures = failures;
    }

    /// <summary>Lets a lane take its turn, if it can give a job.</summary>
    public void Add(SchedulerLane lane, long now)
    {
        var queue = QueueOf(lane);
        if (!ReferenceEquals(lane.Rotation, queue) && CanGive(lane, now))
        {
            // In another it may stand still; there it is passed over.
            lane.Rotation = queue;
            queue.Enqueue(lane);
        }
    }

    /// <summary>The lane whose turn it is, or null if none can give a job that has a place.</summary>
    public SchedulerLane? TryTake(long now)
    {
        if (HasLocalPlace && TryTake(_local, now) is { } local)
        {
            return local;
        }

        _isFailingsTurn = !_isFailingsTurn;
        return _isFailingsTurn
            ? TryTakeFailing(now) ?? TryTakeSteady(now)
            : TryTakeSteady(now) ?? TryTakeFailing(now);
    }

    /// <summary>Whether a lane can go on with another job, out of turn.</summary>
    /// <param name="lane">Whose job was completed.</param>
    /// <param name="isAtTurnsEnd">It has had so many in a row that it gives way where there is only one place for all.</param>
    /// <param name="now">Now.</param>
    public bool MayGoOn(SchedulerLane lane, bool isAtTurnsEnd, long now) =>
        HasPlace(lane) && CanGive(lane, now) && !(isAtTurnsEnd && _remoteJobs == limits.Concurrency - 1 && OthersWait(lane));

    private bool OthersWait(SchedulerLane lane) =>
        _steady.Any(other => !ReferenceEquals(other, lane)) || _failing.Any(other => !ReferenceEquals(other, lane));

    private bool HasPlace(SchedulerLane lane) => lane.IsLocal ? HasLocalPlace
        : _remoteJobs < limits.Concurrency && (lane.Failures == 0 || _failingJobs < _failingMax);

    private bool CanGive(SchedulerLane lane, long now) =>
        lane.Ready.First is not null && lane.BlockedUntil <= now
        && lane.Active < Math.Min(lane.Allowed, lane.Failures > 0 ? 1 : limits.DestinationConcurrency);

    private Queue<SchedulerLane> QueueOf(SchedulerLane lane) => lane.IsLocal ? _local : lane.Failures > 0 ? _failing : _steady;

    private SchedulerLane? TryTakeSteady(long now) => _remoteJobs < limits.Concurrency ? TryTake(_steady, now) : null;

    private SchedulerLane? TryTakeFailing(long now) =>
        _remoteJobs < limits.Concurrency && _failingJobs < _failingMax ? TryTake(_failing, now) : null;

    private SchedulerLane? TryTake(Queue<SchedulerLane> queue, long now)
    {
        while (queue.TryDequeue(out var lane))
        {
            if (!ReferenceEquals(lane.Rotation, queue))
            {
                continue;
            }

            lane.Rotation = null;
            if (ReferenceEquals(QueueOf(lane), queue) && CanGive(lane, now))
            {
                return lane;
            }

            Add(lane, now);
        }

        return null;
    }
}
