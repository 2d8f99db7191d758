namespace Quorumail.Cluster;

/// <summary>The cluster in figures, as this node sees it.</summary>
/// <param name="TotalNodes">Members.</param>
/// <param name="HealthyNodes">Members that do their work; degraded ones do.</param>
/// <param name="DegradedNodes">How many of those need attention.</param>
/// <param name="LeaderId">Who leads; null if nobody is known to.</param>
public sealed record ClusterStats(int TotalNodes, int HealthyNodes, int DegradedNodes, string? LeaderId)
{
    /// <summary>Members that don't do their work, disconnected ones among them.</summary>
    public int UnhealthyNodes => TotalNodes - HealthyNodes;
}
