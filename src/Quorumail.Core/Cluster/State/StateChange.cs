namespace Quorumail.Core.Cluster.State;

/// <summary>What happened to a key.</summary>
public enum StateChangeKind
{
    /// <summary>It was set.</summary>
    Set = 0,

    /// <summary>It was deleted.</summary>
    Deleted = 1,

    /// <summary>Its time to live was over.</summary>
    Expired = 2,
}

/// <summary>A change of one key.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Key">The key.</param>
/// <param name="Value">The new value; empty unless set.</param>
/// <param name="Version">Number of the change.</param>
public readonly record struct StateChange(StateChangeKind Kind, string Key, ReadOnlyMemory<byte> Value, long Version);

/// <summary>Changes read for a watcher.</summary>
/// <param name="Changes">In the order in which they happened; empty if there is none.</param>
/// <param name="NextVersion">From where to read on.</param>
/// <param name="IsLagging">The changes from the wanted version on are no longer kept: list anew, then read on from the list's version.</param>
public readonly record struct StateChanges(IReadOnlyList<StateChange> Changes, long NextVersion, bool IsLagging);
