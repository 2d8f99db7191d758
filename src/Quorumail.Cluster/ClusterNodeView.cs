using Quorumail.Core.Cluster;

namespace Quorumail.Cluster;

/// <summary>A node of the cluster, as this node sees it.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Address">Host name or address at which its peers reach it, without the port; empty if unknown.</param>
/// <param name="Port">Its cluster port; 0 if unknown.</param>
/// <param name="Role">What it is, by its own latest word.</param>
/// <param name="Status">How it is.</param>
/// <param name="Reason">Why it is not healthy; empty if it is.</param>
public sealed record ClusterNodeView(string Id, string Address, int Port, NodeRole Role, NodeStatus Status, string Reason)
{
    /// <summary>Generation of its disk.</summary>
    public int Incarnation { get; init; }

    /// <summary>Whether it has a vote; false while it catches up before it becomes a member.</summary>
    public bool IsVoter { get; init; } = true;

    /// <summary>Seconds since 1970 at which its latest heartbeat came, by this node's clock; null if none has come.</summary>
    public long? LastHeartbeat { get; init; }

    /// <summary>What its latest heartbeat said; null if none has come.</summary>
    public HeartbeatMetadata? Metadata { get; init; }

    /// <summary>Time since its process began, by its own word.</summary>
    public TimeSpan Uptime => TimeSpan.FromSeconds(Metadata?.UptimeSeconds ?? 0);

    /// <summary>A question and its answer, moving average; null for this node and for one that does not answer.</summary>
    public TimeSpan? RoundTrip { get; init; }

    /// <summary>Log entries that it has; as the leader knows it, else by its own word; null if unknown.</summary>
    public long? MatchedIndex { get; init; }

    /// <summary>Log entries that it lags behind; null if unknown.</summary>
    public long? Lag { get; init; }
}
