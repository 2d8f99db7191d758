namespace Quorumail.Cluster.Raft;

/// <summary>Kinds of <see cref="ClusterEvent"/>.</summary>
public enum ClusterEventKind
{
    /// <summary>The node's log runs.</summary>
    Started = 0,

    /// <summary>The node misses its leader and asks whether it would be elected.</summary>
    LeaderMissed = 1,

    /// <summary>The node stands for election.</summary>
    ElectionStarted = 2,

    /// <summary>The node has won.</summary>
    ElectionWon = 3,

    /// <summary>The node knows another leader.</summary>
    LeaderKnown = 4,

    /// <summary>The node knows no leader.</summary>
    LeaderLost = 5,

    /// <summary>The node does not lead any more.</summary>
    SteppedDown = 6,

    /// <summary>A member was added.</summary>
    MemberAdded = 7,

    /// <summary>A member was removed.</summary>
    MemberRemoved = 8,

    /// <summary>A disk was given an incarnation.</summary>
    Admitted = 9,

    /// <summary>The cluster was founded here.</summary>
    Founded = 10,

    /// <summary>The node waits for others.</summary>
    Waiting = 11,

    /// <summary>Leadership is handed over.</summary>
    Transfer = 12,

    /// <summary>The feature level has risen.</summary>
    FeatureLevel = 13,

    /// <summary>Something the operator should know.</summary>
    Warning = 14,
}
