using Quorumail.Cluster.Tests.Linearizability;

namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>One call of a client, as the client saw it.</summary>
/// <param name="Node">Index of the node that was asked.</param>
/// <param name="Operation">What was asked and answered; its times are timestamps of this process.</param>
internal sealed record StateCall(int Node, RegisterOperation Operation)
{
    /// <summary>The version that a write was answered with; 0 if none.</summary>
    public long Version { get; init; }

    /// <summary>The answer's status; 0 if there was none.</summary>
    public int Status { get; init; }

    /// <summary>Whether the status is one that the interface's description does not have for this call.</summary>
    public bool IsUnexpected { get; init; }

    /// <summary>Whether it asked for a change.</summary>
    public bool IsWrite => Operation.Action != RegisterAction.Read;

    /// <summary>Whether the node vouched for it.</summary>
    public bool IsAnswered => Operation.Outcome == RegisterOutcome.Answered;

    /// <summary>Whether it was a write that the node vouched for.</summary>
    public bool IsAcknowledgedWrite => IsWrite && IsAnswered;
}
