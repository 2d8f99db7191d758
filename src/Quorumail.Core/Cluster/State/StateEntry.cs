namespace Quorumail.Core.Cluster.State;

/// <summary>A key of the shared state with its value. Immutable; its memory may be kept.</summary>
/// <param name="Key">The key.</param>
/// <param name="Value">The value.</param>
/// <param name="Version">Number of the change that made it; rises by one with each change of the store, so no two entries ever share one.</param>
/// <param name="ModifiedAt">Cluster time of that change, in milliseconds.</param>
/// <param name="ExpiresAt">Cluster time from which on it is gone, in milliseconds; 0: never.</param>
public sealed record StateEntry(string Key, ReadOnlyMemory<byte> Value, long Version, long ModifiedAt, long ExpiresAt)
{
    /// <summary>Whether it is gone at this cluster time (milliseconds).</summary>
    public bool IsExpired(long now) => ExpiresAt != 0 && ExpiresAt <= now;
}
