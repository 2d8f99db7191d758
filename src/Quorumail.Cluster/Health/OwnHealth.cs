using System.Globalization;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Health;

/// <summary>What a node knows of itself when it judges its health.</summary>
/// <param name="Role">What it is.</param>
/// <param name="LeaderId">Who leads; null if nobody is known to.</param>
/// <param name="IsReady">Whether a quorum is there and this node has caught up.</param>
/// <param name="CommitIndex">The last entry known to be committed.</param>
/// <param name="AppliedIndex">The last entry applied.</param>
/// <param name="State">How the latest stretch of the log was applied; null if this node can't tell.</param>
internal readonly record struct OwnState(
    NodeRole Role, string? LeaderId, bool IsReady, long CommitIndex, long AppliedIndex, StateClaim? State = null);

/// <summary>How a node judges itself. A plain function of what it knows.</summary>
internal static class OwnHealth
{
    private const int ReasonCharacters = 300;

    /// <summary>The node's condition, as its heartbeats tell it.</summary>
    /// <param name="own">What the log says.</param>
    /// <param name="load">What the program around says.</param>
    /// <param name="isOverloaded">Whether the process has been near its cores' limit for two intervals.</param>
    /// <param name="limits">From when on what is what.</param>
    public static NodeCondition Judge(in OwnState own, INodeLoad load, bool isOverloaded, HealthLimits limits)
    {
        if (load.Fault is { } fault)
        {
            return Condition(NodeStatus.Unhealthy, fault, own, load);
        }

        if (own.LeaderId is null)
        {
            return Condition(NodeStatus.Unhealthy, "no leader: no majority of the nodes is connected, or an election is under way", own, load);
        }

        if (!own.IsReady)
        {
            return Condition(NodeStatus.Unhealthy, "has not caught up with the leader yet", own, load);
        }

        List<string> reasons = [];
        if (load.Warning is { } warning)
        {
            reasons.Add(warning);
        }

        if (isOverloaded)
        {
            reasons.Add(string.Create(CultureInfo.InvariantCulture, $"the processor load is above {limits.LoadWarning:P0}"));
        }

        if (own.CommitIndex - own.AppliedIndex > limits.LagWarning)
        {
            reasons.Add(string.Create(CultureInfo.InvariantCulture, $"{own.CommitIndex - own.AppliedIndex} committed log entries are not applied yet"));
        }

        return Condition(reasons.Count == 0 ? NodeStatus.Healthy : NodeStatus.Degraded, string.Join("; ", reasons), own, load);
    }

    private static NodeCondition Condition(NodeStatus status, string reason, in OwnState own, INodeLoad load) =>
        new(status, reason.Length > ReasonCharacters ? reason[..ReasonCharacters] : reason, own.AppliedIndex)
        {
            IsShortOfSpace = load.IsShortOfSpace,
            State = own.State,
        };
}
