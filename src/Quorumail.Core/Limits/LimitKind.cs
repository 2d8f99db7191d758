namespace Quorumail.Core.Limits;

/// <summary>What a limit counts.</summary>
public enum LimitKind
{
    /// <summary>Events in a window of time.</summary>
    Rate = 1,

    /// <summary>Connections at once.</summary>
    Concurrency = 2,
}
