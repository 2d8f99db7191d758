namespace Quorumail.Cluster.Health;

/// <summary>CPU and memory of this process. Not thread-safe.</summary>
public sealed class ProcessLoad
{
    private readonly TimeProvider _time;
    private readonly Func<TimeSpan> _processor;
    private readonly int _cores;
    private readonly double _warning;
    private long _sampledAt;
    private TimeSpan _used;
    private int _overloads;

    /// <summary>Measures from now on.</summary>
    /// <param name="time">The clock.</param>
    /// <param name="warning">Load as a part of all cores that counts as too much.</param>
    /// <param name="processor">CPU time of the process; null for the real one.</param>
    /// <param name="cores">Cores; null for the real number.</param>
    public ProcessLoad(TimeProvider time, double warning, Func<TimeSpan>? processor = null, int? cores = null)
    {
        ArgumentNullException.ThrowIfNull(time);
        _time = time;
        _processor = processor ?? (static () => Environment.CpuUsage.TotalTime);
        _cores = cores ?? Environment.ProcessorCount;
        _warning = warning;
        _sampledAt = time.GetTimestamp();
        _used = _processor();
    }

    /// <summary>Per cent of one core between the last two samples: 0 to 100 times the number of cores.</summary>
    public double CpuPercent { get; private set; }

    /// <summary>Whether the last two samples both were above the warning.</summary>
    public bool IsOverloaded => _overloads >= 2;

    /// <summary>Resident memory in MiB.</summary>
    public static long ResidentMebibytes => Environment.WorkingSet >> 20;

    /// <summary>Takes a sample; to be called once a heartbeat.</summary>
    public void Sample()
    {
        TimeSpan used = _processor();
        TimeSpan elapsed = _time.GetElapsedTime(_sampledAt);
        if (elapsed <= TimeSpan.Zero)
        {
            return;
        }

        CpuPercent = Math.Clamp(100 * (used - _used).TotalMilliseconds / elapsed.TotalMilliseconds, 0, 100.0 * _cores);
        _overloads = CpuPercent >= 100 * _cores * _warning ? _overloads + 1 : 0;
        _used = used;
        _sampledAt = _time.GetTimestamp();
    }
}
