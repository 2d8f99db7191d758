namespace Quorumail.Cluster.State;

/// <summary>How a write with a condition ended.</summary>
/// <param name="IsDone">Whether the condition held: if not, nothing was changed.</param>
/// <param name="Version">Done: the key's new version. Else the version that the key has instead; 0: there is no such key.</param>
public readonly record struct StateWrite(bool IsDone, long Version);
