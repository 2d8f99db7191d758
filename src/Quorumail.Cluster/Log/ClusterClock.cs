namespace Quorumail.Cluster.Log;

/// <summary>
/// Cluster time in milliseconds since the Unix epoch: the last committed stamp plus the monotonic time since it was
/// applied here. A jump of the wall clock changes nothing while the cluster runs; after a stop of the whole cluster the
/// wall clock counts, forward only and at most <see cref="MaximumGap"/>.
/// </summary>
public sealed class ClusterClock
{
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private long _stamp;
    private long _appliedAt;

    /// <summary>Starts at a stop of the whole cluster, or at its founding if there is no earlier stamp.</summary>
    /// <param name="time">The clock of the process; its wall time is read once.</param>
    /// <param name="lastStamp">Latest stamp that the log holds; 0 if it holds none.</param>
    /// <param name="isCold">Whether other nodes may have gone on meanwhile: then the wall clock does not count yet.</param>
    public ClusterClock(TimeProvider time, long lastStamp, bool isCold = false)
    {
        ArgumentNullException.ThrowIfNull(time);
        _time = time;
        _stamp = Math.Max(lastStamp, 0);
        _appliedAt = time.GetTimestamp();
        if (!isCold)
        {
            WarmUp(0);
        }
    }

    /// <summary>Whether it has gone on with the cluster, or has been told that the whole cluster had stopped.</summary>
    public bool IsWarm { get; private set; }

    /// <summary>Goes on from what a node said that did not stop, or, if none is left, from the wall clock.</summary>
    /// <param name="running">Cluster time at the node that is furthest; 0 if the whole cluster had stopped.</param>
    public void WarmUp(long running)
    {
        lock (_lock)
        {
            long now = _stamp + (long)_time.GetElapsedTime(_appliedAt).TotalMilliseconds;
            if (running > 0)
            {
                now = Math.Max(now, running);
            }
            else if (!IsWarm)
            {
                long wall = _time.GetUtcNow().ToUnixTimeMilliseconds();
                now = _stamp <= 0 ? Math.Max(wall, 1) : now + Math.Clamp(wall - now, 0, (long)MaximumGap.TotalMilliseconds);
            }

            _stamp = now;
            _appliedAt = _time.GetTimestamp();
            IsWarm = true;
        }
    }

    /// <summary>The most that a stop of the whole cluster can move cluster time: a wrong wall clock must not expire a queue.</summary>
    public static TimeSpan MaximumGap { get; } = TimeSpan.FromHours(24);

    /// <summary>Cluster time now; never falls.</summary>
    public long Now
    {
        get
        {
            lock (_lock)
            {
                return _stamp + (long)_time.GetElapsedTime(_appliedAt).TotalMilliseconds;
            }
        }
    }

    /// <summary>Takes over the stamp of a committed entry that has just been applied.</summary>
    public void Applied(long stamp)
    {
        lock (_lock)
        {
            long now = _stamp + (long)_time.GetElapsedTime(_appliedAt).TotalMilliseconds;
            if (stamp > now)
            {
                _stamp = stamp;
                _appliedAt = _time.GetTimestamp();
            }
        }
    }
}
