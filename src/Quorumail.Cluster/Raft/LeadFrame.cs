namespace Quorumail.Cluster.Raft;

/// <summary>What the body of a <see cref="Core.Cluster.FrameType.Lead"/> begins with; the incarnation that it is for (4) follows.</summary>
internal enum LeadFrame : byte
{
    /// <summary>Do you still lead? The answer is the commit index (8), confirmed by a majority after the question came.</summary>
    Confirm = 1,

    /// <summary>Hand over leadership, to the node named (text), or to any if it is empty.</summary>
    HandOver = 2,

    /// <summary>What is cluster time? The answer: whether the clock has run on (1), and the time (8).</summary>
    Time = 3,

    /// <summary>How far have you applied? The answer: the version of the members that this node goes by (8), and the applied index (8).</summary>
    Applied = 4,

    /// <summary>Do not stand for election until there is another leader.</summary>
    Refrain = 5,
}
