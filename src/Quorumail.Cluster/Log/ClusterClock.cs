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
    public ClusterClock(TimeProvider time, long lastStamp)
    {
        ArgumentNullException.ThrowIfNull(time);
        _time = time;
        long wall = time.GetUtcNow().ToUnixTimeMilliseconds();
        long gap = Math.Clamp(wall - lastStamp, 0, (long)MaximumGap.TotalMilliseconds);
        _stamp = lastStamp <= 0 ? Math.Max(wall, 1) : lastStamp + gap;
        _appliedAt = time.GetTimestamp();
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
