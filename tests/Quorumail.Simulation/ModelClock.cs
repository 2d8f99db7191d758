namespace Quorumail.Simulation;

/// <summary>
/// Cluster time at one node, by the rules of the real clock: the last committed stamp plus the time since, by a clock of its own that is a
/// little fast or slow; after a stop of all nodes its wall clock counts, which may be hours wrong, forward only and at most a day.
/// </summary>
internal sealed class ModelClock(Simulator simulator, long start)
{
    /// <summary>How much a node's clock is fast or slow at most.</summary>
    public const double Drift = 0.001;

    private const long MaximumGap = 24 * 3_600_000;

    private readonly double _rate = 1 + (Drift * ((2 * simulator.Random.NextDouble()) - 1));
    private long _stamp = start;
    private long _appliedAt = simulator.Now;

    public long Now => _stamp + (long)((simulator.Now - _appliedAt) * _rate);

    /// <summary>Where the wall clock moves a cluster that had stopped as a whole.</summary>
    public static long AfterStop(long last, long wall) => last == 0 ? wall : last + Math.Clamp(wall - last, 0, MaximumGap);

    /// <summary>A committed entry has been applied.</summary>
    public void Applied(long stamp)
    {
        if (stamp > Now)
        {
            (_stamp, _appliedAt) = (stamp, simulator.Now);
        }
    }
}
