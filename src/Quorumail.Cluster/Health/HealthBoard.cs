using System.Globalization;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Health;

/// <summary>
/// What is known of the other nodes, and what follows from it. A plain object: frames, connections and monotonic time go
/// in. Not thread-safe.
/// </summary>
internal sealed class HealthBoard(HealthLimits limits)
{
    /// <summary>Names that are kept; a cluster has 3 to 7 nodes.</summary>
    private const int NodesMax = 256;

    private const double RoundTripWeight = 0.25;

    private readonly Dictionary<string, Peer> _peers = new(StringComparer.Ordinal);

    /// <summary>A connection to the node is open.</summary>
    public void Connected(string nodeId, TimeSpan now)
    {
        if (PeerOf(nodeId) is { } peer)
        {
            peer.LastSign = now;
            peer.IsRefused = false;
        }
    }

    /// <summary>The node's connections are gone. If it refuses to be dialled again its process is, too.</summary>
    public void Disconnected(string nodeId, bool isRefused)
    {
        if (PeerOf(nodeId) is { } peer)
        {
            peer.IsRefused = isRefused;
            peer.RoundTrip = null;
            peer.HasOtherState &= !isRefused;
        }
    }

    /// <summary>The node has sent a heartbeat.</summary>
    public void Heard(Heartbeat heartbeat, TimeSpan now)
    {
        if (PeerOf(heartbeat.NodeId) is { } peer)
        {
            peer.Heartbeat = heartbeat;
            peer.HeartbeatAt = now;
            peer.LastSign = now;
            peer.IsRefused = false;
        }
    }

    /// <summary>The node has another state than this one, until it starts again. False if that was known.</summary>
    public bool Differs(string nodeId)
    {
        if (PeerOf(nodeId) is not { HasOtherState: false } peer)
        {
            return false;
        }

        return peer.HasOtherState = true;
    }

    /// <summary>The node has answered a question.</summary>
    public void Answered(string nodeId, TimeSpan roundTrip, TimeSpan now)
    {
        if (PeerOf(nodeId) is { } peer)
        {
            peer.LastSign = now;
            peer.IsRefused = false;
            peer.RoundTrip = peer.RoundTrip is { } average ? average + (RoundTripWeight * (roundTrip - average)) : roundTrip;
        }
    }

    /// <summary>Forgets a node that has left the cluster.</summary>
    public void Forget(string nodeId) => _peers.Remove(nodeId);

    /// <summary>How a node is now.</summary>
    /// <param name="nodeId">Which.</param>
    /// <param name="lag">Log entries that it lags behind, as the leader knows; null if nobody told.</param>
    /// <param name="now">Monotonic time.</param>
    public PeerHealth Of(string nodeId, long? lag, TimeSpan now)
    {
        if (!_peers.TryGetValue(nodeId, out Peer? peer))
        {
            return new PeerHealth(NodeStatus.Disconnected, "never heard of since this node started", null, TimeSpan.Zero, null);
        }

        (NodeStatus status, string reason) = Judge(peer, lag, now);
        return new PeerHealth(status, reason, peer.Heartbeat, peer.Heartbeat is null ? TimeSpan.Zero : now - peer.HeartbeatAt, peer.RoundTrip);
    }

    /// <summary>Whether a node that lives has said that its disk is nearly full.</summary>
    public bool IsAnyShortOfSpace(TimeSpan now)
    {
        foreach (Peer peer in _peers.Values)
        {
            if (peer is { IsRefused: false, LastSign: { } sign, Heartbeat.Condition.IsShortOfSpace: true } && now - sign < limits.SilenceMax)
            {
                return true;
            }
        }

        return false;
    }

    private (NodeStatus Status, string Reason) Judge(Peer peer, long? lag, TimeSpan now)
    {
        if (peer.IsRefused)
        {
            return (NodeStatus.Disconnected, "its connection was reset and it refuses a new one");
        }

        if (peer.LastSign is not { } sign || now - sign >= limits.SilenceMax)
        {
            return (NodeStatus.Disconnected, $"silent for more than {Seconds(limits.HeartbeatTimeout)} s");
        }

        if (peer.Heartbeat is null)
        {
            return (NodeStatus.Unhealthy, "connected, no heartbeat yet");
        }

        NodeCondition condition = peer.Heartbeat.Condition ?? new NodeCondition(NodeStatus.Healthy, "", 0);
        if (condition.Status == NodeStatus.Unhealthy)
        {
            return (NodeStatus.Unhealthy, condition.Reason);
        }

        List<string> reasons = condition.Status == NodeStatus.Degraded ? [condition.Reason] : [];
        if (peer.HasOtherState)
        {
            reasons.Add("it has another state than the node that you ask: the one that all others say this of must be emptied");
        }

        if (peer.RoundTrip is { } roundTrip && roundTrip > limits.RoundTripWarning)
        {
            reasons.Add(string.Create(
                CultureInfo.InvariantCulture,
                $"a round trip takes {roundTrip.TotalMilliseconds:0} ms (more than {limits.RoundTripWarning.TotalMilliseconds:0})"));
        }

        if (lag > limits.LagWarning)
        {
            reasons.Add(string.Create(CultureInfo.InvariantCulture, $"{lag} log entries behind (more than {limits.LagWarning})"));
        }

        return reasons.Count == 0 ? (NodeStatus.Healthy, "") : (NodeStatus.Degraded, string.Join("; ", reasons));
    }

    private static string Seconds(TimeSpan span) => span.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture);

    private Peer? PeerOf(string nodeId)
    {
        if (_peers.TryGetValue(nodeId, out Peer? peer))
        {
            return peer;
        }

        if (_peers.Count >= NodesMax)
        {
            return null;
        }

        return _peers[nodeId] = new Peer();
    }

    private sealed class Peer
    {
        public Heartbeat? Heartbeat { get; set; }

        public TimeSpan HeartbeatAt { get; set; }

        public TimeSpan? LastSign { get; set; }

        public bool IsRefused { get; set; }

        public TimeSpan? RoundTrip { get; set; }

        public bool HasOtherState { get; set; }
    }
}
