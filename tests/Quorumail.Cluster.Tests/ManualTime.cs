namespace Quorumail.Cluster.Tests;

/// <summary>A clock whose wall time and monotonic time are moved apart by the test.</summary>
internal sealed class ManualTime(DateTimeOffset wall) : TimeProvider
{
    private long _ticks;

    public DateTimeOffset Wall { get; set; } = wall;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => Wall;

    public override long GetTimestamp() => _ticks;

    /// <summary>Lets time pass: both clocks move.</summary>
    public void Pass(TimeSpan span)
    {
        _ticks += span.Ticks;
        Wall += span;
    }
}
