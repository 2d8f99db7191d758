namespace Quorumail.Core.Cluster.State;

/// <summary>What the shared state answers to a command.</summary>
public enum StateStatus : byte
{
    /// <summary>Done.</summary>
    Done = 0,

    /// <summary>The condition does not hold: nothing was changed.</summary>
    ConditionFailed = 1,

    /// <summary>There is no such key: nothing was to be deleted.</summary>
    NotFound = 2,

    /// <summary>The key is empty, too long or no text.</summary>
    InvalidKey = 3,

    /// <summary>The value is too large.</summary>
    ValueTooLarge = 4,

    /// <summary>The store is full: delete something first.</summary>
    Full = 5,

    /// <summary>The command is malformed, or of a format that this version does not read.</summary>
    Invalid = 6,
}

/// <summary>The answer to a command.</summary>
/// <param name="Status">How it ended.</param>
/// <param name="Version">Done: number of the change. Condition failed: version of the key as it stands, 0 if there is none.</param>
public readonly record struct StateAnswer(StateStatus Status, long Version = 0);
