namespace Quorumail.Cluster.Health;

/// <summary>From when on a node is what. The first two are the guide's keys.</summary>
internal sealed record HealthLimits
{
    /// <summary>Between two heartbeats. The guide's <c>heartbeat_interval_ms</c>, 5000.</summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a node may be silent. The guide's <c>heartbeat_timeout_ms</c>, 15000.</summary>
    public TimeSpan HeartbeatTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Round trips above it are a warning. The guide, "Network Requirements": low latency between nodes (below 50 ms).</summary>
    public TimeSpan RoundTripWarning { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Log entries that a node may lag behind the leader.</summary>
    public long LagWarning { get; init; } = 10_000;

    /// <summary>Load of the process as a part of all cores, over two heartbeat intervals in a row.</summary>
    public double LoadWarning { get; init; } = 0.9;

    /// <summary>
    /// Silence after which a node is disconnected: the time-out and half an interval, for the last sign of life is known to a
    /// fifth of an interval only. So it is never called disconnected before the time-out, and always before one interval more.
    /// </summary>
    public TimeSpan SilenceMax => HeartbeatTimeout + (HeartbeatInterval / 2);

    /// <summary>Between two questions whether a peer is there.</summary>
    public TimeSpan PingInterval => HeartbeatInterval / 5;
}
