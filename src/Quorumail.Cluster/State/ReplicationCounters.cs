namespace Quorumail.Cluster.State;

/// <summary>Counts replications. Thread-safe.</summary>
internal sealed class ReplicationCounters
{
    private const double Weight = 0.02;

    private readonly Lock _lock = new();
    private long _replications;
    private long _pending;
    private long _failed;
    private double _latency = -1;

    public ReplicationStats Stats
    {
        get
        {
            lock (_lock)
            {
                return new ReplicationStats(
                    Interlocked.Read(ref _replications), Interlocked.Read(ref _pending), Interlocked.Read(ref _failed),
                    TimeSpan.FromMilliseconds(Math.Max(_latency, 0)));
            }
        }
    }

    public void Applied(int count) => Interlocked.Add(ref _replications, count);

    public void Began() => Interlocked.Increment(ref _pending);

    public void Ended() => Interlocked.Decrement(ref _pending);

    public void Failed() => Interlocked.Increment(ref _failed);

    public void Committed(TimeSpan latency)
    {
        lock (_lock)
        {
            _latency = _latency < 0 ? latency.TotalMilliseconds : _latency + (Weight * (latency.TotalMilliseconds - _latency));
        }
    }
}
