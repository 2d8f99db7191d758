namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>The guide's three keys, and what Quorumail derives from them (docs/configuration.md).</summary>
/// <param name="HeartbeatInterval">heartbeat_interval_ms.</param>
/// <param name="HeartbeatTimeout">heartbeat_timeout_ms.</param>
/// <param name="LeaderElectionTimeout">leader_election_timeout_ms.</param>
internal sealed record LabTimers(TimeSpan HeartbeatInterval, TimeSpan HeartbeatTimeout, TimeSpan LeaderElectionTimeout)
{
    /// <summary>The guide's defaults.</summary>
    public static LabTimers Guide { get; } = new(TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(15), TimeSpan.FromSeconds(10));

    /// <summary>The longest that a follower waits for its leader before it stands for election, and that a leader goes on without a majority.</summary>
    public TimeSpan ElectionUpper => LeaderElectionTimeout / 5;
}
