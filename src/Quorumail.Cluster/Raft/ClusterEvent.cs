namespace Quorumail.Cluster.Raft;

/// <summary>What happened in the cluster, as this node saw it.</summary>
/// <param name="Time">Wall time here.</param>
/// <param name="Kind">What.</param>
/// <param name="Term">The term at the time.</param>
/// <param name="Text">For the operator.</param>
public sealed record ClusterEvent(DateTimeOffset Time, ClusterEventKind Kind, long Term, string Text);
