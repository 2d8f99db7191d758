using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Health;

/// <summary>How a node is, as another sees it.</summary>
/// <param name="Status">How it is.</param>
/// <param name="Reason">Why it is not healthy; empty if it is.</param>
/// <param name="Heartbeat">Its latest heartbeat; null if there has been none.</param>
/// <param name="HeartbeatAge">Time since then.</param>
/// <param name="RoundTrip">A moving average of the time that a question and its answer take; null if there has been none.</param>
public sealed record PeerHealth(NodeStatus Status, string Reason, Heartbeat? Heartbeat, TimeSpan HeartbeatAge, TimeSpan? RoundTrip);
