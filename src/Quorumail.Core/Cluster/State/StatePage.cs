namespace Quorumail.Core.Cluster.State;

/// <summary>A part of a list of keys.</summary>
/// <param name="Entries">Ordered by key.</param>
/// <param name="NextKey">The last key of this page if there are more: ask for those after it; else null.</param>
/// <param name="Version">Number of the last change that the page shows: a watch from there on misses nothing.</param>
public sealed record StatePage(IReadOnlyList<StateEntry> Entries, string? NextKey, long Version);
