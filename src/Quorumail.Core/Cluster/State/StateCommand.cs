namespace Quorumail.Core.Cluster.State;

/// <summary>What a command does.</summary>
public enum StateAction : byte
{
    /// <summary>Sets a key.</summary>
    Set = 0,

    /// <summary>Deletes a key.</summary>
    Delete = 1,

    /// <summary>Does nothing but what every command does: removes expired keys.</summary>
    Sweep = 2,
}

/// <summary>On what a command depends.</summary>
public enum StateCondition : byte
{
    /// <summary>On nothing.</summary>
    None = 0,

    /// <summary>The key has <see cref="StateCommand.Expected"/> as version; 0: there is no such key.</summary>
    Version = 1,

    /// <summary>The key has <see cref="StateCommand.ExpectedValue"/> as value.</summary>
    Value = 2,

    /// <summary>
    /// <see cref="StateCommand.Expected"/> is a time (Unix seconds), and neither the key nor, if there is no such key, any
    /// deletion is of a later second: an update that was overtaken changes nothing, and brings nothing back.
    /// </summary>
    NotOlder = 3,
}

/// <summary>A command to the shared state.</summary>
/// <param name="Action">What to do.</param>
/// <param name="Key">Which key; empty for <see cref="StateAction.Sweep"/>.</param>
public sealed record StateCommand(StateAction Action, string Key)
{
    /// <summary>The new value.</summary>
    public ReadOnlyMemory<byte> Value { get; init; }

    /// <summary>Milliseconds after which the key is gone; 0: it stays.</summary>
    public long TimeToLive { get; init; }

    /// <summary>On what it depends.</summary>
    public StateCondition Condition { get; init; }

    /// <summary>The version or time that the condition names.</summary>
    public long Expected { get; init; }

    /// <summary>The value that the condition names.</summary>
    public ReadOnlyMemory<byte> ExpectedValue { get; init; }
}
