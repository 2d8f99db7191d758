namespace Quorumail.Cluster.Raft;

/// <summary>
/// When the leader speaks and when it is missed, monotonic. Derived from the guide's keys, so that raising those calms
/// elections too, or set by keys of their own.
/// </summary>
/// <param name="Heartbeat">The leader's silence at most; shorter than half of <paramref name="ElectionLower"/>.</param>
/// <param name="ElectionLower">A follower waits at least that long for its leader before it stands for election.</param>
/// <param name="ElectionUpper">And at most that long; each chooses at random.</param>
public sealed record ClusterTimers(TimeSpan Heartbeat, TimeSpan ElectionLower, TimeSpan ElectionUpper)
{
    /// <summary>What the guide's defaults give: 250 ms, and 1 to 2 s.</summary>
    public static ClusterTimers Default { get; } = From(TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(10));

    /// <summary>How long a vote is waited for: the engine waits for every member, and a silent one must not hold it up.</summary>
    public TimeSpan Vote => ElectionLower * 0.4;

    /// <summary>How long an append is waited for before its member counts as unavailable.</summary>
    public TimeSpan Append => ElectionLower;

    /// <summary>Derives the timers.</summary>
    /// <param name="heartbeatInterval">The guide's heartbeat_interval_ms: a twentieth of it.</param>
    /// <param name="leaderElectionTimeout">The guide's leader_election_timeout_ms: a tenth to a fifth of it.</param>
    public static ClusterTimers From(TimeSpan heartbeatInterval, TimeSpan leaderElectionTimeout)
    {
        TimeSpan lower = leaderElectionTimeout / 10;
        TimeSpan heartbeat = heartbeatInterval / 20;
        return new ClusterTimers(heartbeat < lower / 3 ? heartbeat : lower / 3, lower, leaderElectionTimeout / 5);
    }

    /// <summary>What is wrong with the values; nothing if they can be used.</summary>
    public string? Problem() =>
        Heartbeat <= TimeSpan.Zero || ElectionLower < TimeSpan.FromMilliseconds(10) ? "The timers must be positive."
        : Heartbeat > ElectionLower / 2 ? $"The heartbeat ({Heartbeat}) must be at most half of the lower election time-out ({ElectionLower})."
        : ElectionUpper < ElectionLower ? $"The upper election time-out ({ElectionUpper}) is below the lower one ({ElectionLower})."
        : null;
}
