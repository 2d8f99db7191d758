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
}
