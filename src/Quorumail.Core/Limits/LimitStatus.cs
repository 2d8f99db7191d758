namespace Quorumail.Core.Limits;

/// <summary>What was said to a <see cref="LimitCommand"/>.</summary>
public enum LimitStatus
{
    /// <summary>Done, or granted.</summary>
    Granted = 0,

    /// <summary>Nothing is left; <see cref="LimitAnswer.Until"/> tells when to ask again.</summary>
    Exhausted = 1,

    /// <summary>There is no such limit, or too many keys of it, or the node is no member.</summary>
    Unknown = 2,

    /// <summary>The slot, or the tokens' window, has ended.</summary>
    Expired = 3,

    /// <summary>Something is granted under the old definition.</summary>
    Busy = 4,

    /// <summary>The command does not make sense.</summary>
    Invalid = 5,
}
