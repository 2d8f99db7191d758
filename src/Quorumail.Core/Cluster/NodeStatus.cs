namespace Quorumail.Core.Cluster;

/// <summary>How a node is. The rules stand in docs/operations.md.</summary>
public enum NodeStatus
{
    /// <summary>It does its work.</summary>
    Healthy = 0,

    /// <summary>It does its work, but something needs attention: little disk space, high load, a lag, a slow network.</summary>
    Degraded = 1,

    /// <summary>It runs, but can't do its work: no quorum, not caught up, a failed disk.</summary>
    Unhealthy = 2,

    /// <summary>Nothing is heard of it.</summary>
    Disconnected = 3,
}
