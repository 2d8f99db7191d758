using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>This node's place in the cluster has changed.</summary>
/// <param name="Role">What it is now.</param>
/// <param name="LeaderId">Who leads, if known.</param>
/// <param name="Term">The term: for a leader, its fencing token.</param>
public sealed record RoleChange(NodeRole Role, string? LeaderId, long Term)
{
    // The engine asks for votes and hears of a leader on threads of their own. Whichever is told last, an election that
    // is decided, in this term or a later one, is over.

    /// <summary>After it stands for a term.</summary>
    internal RoleChange Standing(long term) => LeaderId is not null && Term >= term ? this : new RoleChange(NodeRole.Candidate, null, term);

    /// <summary>After it asks whether it would be elected, in its present term.</summary>
    internal RoleChange Asking(long term) => Role == NodeRole.Leader ? this : this with { Role = NodeRole.Follower, Term = Math.Max(Term, term) };

    /// <summary>After its leadership has ended.</summary>
    internal RoleChange Deposed(long term) => Role == NodeRole.Leader ? new RoleChange(NodeRole.Follower, null, Math.Max(Term, term)) : this;
}
