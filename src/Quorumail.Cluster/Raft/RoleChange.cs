using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>This node's place in the cluster has changed.</summary>
/// <param name="Role">What it is now.</param>
/// <param name="LeaderId">Who leads, if known.</param>
/// <param name="Term">The term: for a leader, its fencing token.</param>
public sealed record RoleChange(NodeRole Role, string? LeaderId, long Term);
