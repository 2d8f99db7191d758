namespace Quorumail.Core.Cluster.State;

/// <summary>Limits of the shared state; the same on all members, for they decide what Apply answers.</summary>
public sealed record StateLimits
{
    /// <summary>Bytes of a key in UTF-8 at most. Keys are names, not data. Default: 512.</summary>
    public int KeyMax { get; init; } = 512;

    /// <summary>Bytes of a value at most: several fit into an entry of the log (1 MiB). Default: 256 KiB.</summary>
    public int ValueMax { get; init; } = 256 << 10;

    /// <summary>Bytes of all keys and values at most, <see cref="EntryOverhead"/> for each key included: it all is in memory. Default: 256 MiB.</summary>
    public long TotalMax { get; init; } = 256L << 20;

    /// <summary>The longest time to live, in milliseconds. Default: 10 years.</summary>
    public long TimeToLiveMax { get; init; } = 3650L * 24 * 3600 * 1000;

    /// <summary>Expired keys that are removed before an entry of the log is applied, at most, so that no entry takes long. Default: 256.</summary>
    public int ExpiredPerEntry { get; init; } = 256;

    /// <summary>Changes that are kept for watchers, at most. Default: 16384.</summary>
    public int HistoryMax { get; init; } = 16_384;

    /// <summary>Bytes of keys and values in the changes kept for watchers, at most. Default: 16 MiB.</summary>
    public long HistoryBytesMax { get; init; } = 16L << 20;

    /// <summary>Keys in one page of a list, at most. Default: 1000.</summary>
    public int PageMax { get; init; } = 1000;

    /// <summary>What a key costs in memory besides its own bytes and its value's, roughly (measured: dictionary, order and expiry).</summary>
    public const int EntryOverhead = 256;
}
