namespace Quorumail.Cluster.State;

/// <summary>How fresh a read must be.</summary>
public enum ReadConsistency
{
    /// <summary>What this node has applied: answered at once, also without a quorum, and may lag behind.</summary>
    Local = 0,

    /// <summary>
    /// As fresh as what the leader knows. On the leader it is answered at once; one that has just lost its majority may
    /// answer for up to an election time-out longer. On a follower it costs what <see cref="Linearizable"/> costs.
    /// </summary>
    Leader = 1,

    /// <summary>Shows every write that was acknowledged before the read began. Costs a round to a majority; fails without one.</summary>
    Linearizable = 2,
}
