using Quorumail.Cluster.Log;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Queue;

/// <summary>How a proposed queue command ended.</summary>
/// <param name="Outcome">Whether it is committed.</param>
/// <param name="Status">What Apply said; meaningful only if <paramref name="Outcome"/> is <see cref="ProposalOutcome.Applied"/>.</param>
/// <param name="Reason">For the operator, unless applied.</param>
public readonly record struct QueueProposal(ProposalOutcome Outcome, ApplyStatus Status, string? Reason = null)
{
    /// <summary>Messages that an operator's command has changed.</summary>
    public int Matched { get; init; }

    /// <summary>There were more than the command's limit: repeated, it goes on with them.</summary>
    public bool HasMore { get; init; }

    /// <summary>
    /// An Enqueue that may be committed, now or later, and that this node's failed disk can't remember to take back: any
    /// answer to the client might be wrong.
    /// </summary>
    public bool IsLeftOpen { get; init; }

    /// <summary>Committed, and Apply did what the command asks.</summary>
    public bool IsAccepted => Outcome == ProposalOutcome.Applied && Status == ApplyStatus.Accepted;
}
