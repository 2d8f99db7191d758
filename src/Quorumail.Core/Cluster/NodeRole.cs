namespace Quorumail.Core.Cluster;

/// <summary>What a node is in its cluster (the guide's "Node Roles").</summary>
public enum NodeRole
{
    /// <summary>Follows a leader, or waits for one.</summary>
    Follower = 0,

    /// <summary>Stands for election.</summary>
    Candidate = 1,

    /// <summary>Leads its term.</summary>
    Leader = 2,
}
