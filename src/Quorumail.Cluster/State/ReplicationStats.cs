namespace Quorumail.Cluster.State;

/// <summary>Figures of the replication of shared state on this node.</summary>
/// <param name="Replications">Updates that this node has applied since it started, whoever asked for them.</param>
/// <param name="Pending">Updates asked for here that wait for their commit.</param>
/// <param name="Failed">Updates asked for here that were refused for lack of a leader, or whose outcome is unknown.</param>
/// <param name="AverageLatency">From asking to the commit, a moving average over about the last 100 updates; zero before the first.</param>
public readonly record struct ReplicationStats(long Replications, long Pending, long Failed, TimeSpan AverageLatency);
