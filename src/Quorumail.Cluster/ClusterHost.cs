using Quorumail.Cluster.Health;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster;

/// <summary>What a program that embeds a cluster node brings along; everything may be left out.</summary>
public sealed record ClusterHost
{
    /// <summary>A state of the program's own in the same log; its commands are proposed through <see cref="ClusterManager.Log"/>.</summary>
    public IReplicatedState? Application { get; init; }

    /// <summary>Figures of the program for heartbeats, and what it knows of its own health.</summary>
    public INodeLoad? Load { get; init; }

    /// <summary>Answers what the same program asks from other nodes by <see cref="ClusterManager.AskAsync"/>.</summary>
    public IPeerService? Service { get; init; }

    /// <summary>A journal for the log's entries, opened and not begun; it remains the program's. Null: one in <see cref="ClusterConfig.DataDirectory"/>.</summary>
    public EntryJournal? Journal { get; init; }

    /// <summary>
    /// The highest feature level of <see cref="Application"/> and library that this program knows. What not every member knows
    /// (<see cref="Raft.ClusterNode.FeatureLevel"/>) must not be proposed. Default 1.
    /// </summary>
    public int FeatureLevel { get; init; } = 1;
}
