namespace Quorumail.Cluster.Raft;

/// <summary>First byte of the answer to each of our asking frames.</summary>
internal enum FrameAnswer : byte
{
    /// <summary>It was done; what was asked for follows.</summary>
    Done = 0,

    /// <summary>The frame is for, or from, another incarnation, or this node's log is not running.</summary>
    Unavailable = 1,

    /// <summary>A snapshot is being installed; the node's term follows.</summary>
    Installing = 2,

    /// <summary>This node does not lead; the leader's name follows, empty if unknown.</summary>
    NotLeader = 3,

    /// <summary>There is no room now.</summary>
    Busy = 4,

    /// <summary>It can't be done; why follows.</summary>
    Refused = 5,
}
