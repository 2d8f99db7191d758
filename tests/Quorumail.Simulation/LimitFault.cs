namespace Quorumail.Simulation;

/// <summary>A mistake put into a node's use of limits on purpose.</summary>
public enum LimitFault
{
    None = 0,

    /// <summary>Uses what it has asked for when the outcome is not known.</summary>
    UsesUnknownGrants,

    /// <summary>Goes on with what was granted after its end.</summary>
    IgnoresEnds,

    /// <summary>Uses its own share right after a start, though an earlier life may have used it.</summary>
    SharesAtOnce,

    /// <summary>Grants others a node's share as soon as a definition takes it away, though the node may have used it.</summary>
    ForgetsShares,
}
