namespace Quorumail.Cluster.Membership;

/// <summary>What the body of a <see cref="Core.Cluster.FrameType.Member"/> begins with.</summary>
internal enum MemberFrame : byte
{
    /// <summary>What do you know? The answer: whether there is a log (1), cluster (16), leader (text), addresses (count and texts).</summary>
    Know = 1,

    /// <summary>May this node found the cluster? Founder (text) and its disk (16). The answer: whether it may (1), and who has the promise (text).</summary>
    Promise = 2,

    /// <summary>Take this disk in: node (text), disk (16), address (text). The answer: incarnation (4), cluster (16), members (length and bytes).</summary>
    Join = 3,

    /// <summary>Let a node go: its name (text).</summary>
    Remove = 4,
}
