namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>Syncs of one process that are slow, or fail; see synctrouble.c.</summary>
internal sealed class SyncTrouble : IDisposable
{
    private const long NanosecondsPerTick = 100;

    private readonly PreloadedLibrary _library;

    private SyncTrouble(PreloadedLibrary library) => _library = library;

    /// <summary>What the process needs in its environment.</summary>
    public IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["LD_PRELOAD"] = _library.Path,
        ["SYNC_TROUBLE"] = _library.NumbersPath,
    };

    /// <summary>Makes one; there is no trouble yet.</summary>
    public static async Task<SyncTrouble> CreateAsync(CancellationToken token) => new(await PreloadedLibrary.CreateAsync("synctrouble.c", [0, 0], token));

    /// <summary>From now on each sync takes longer.</summary>
    public void Delay(TimeSpan by) => _library.Write(by.Ticks * NanosecondsPerTick, 0);

    /// <summary>From now on each sync fails, and nothing is synced.</summary>
    /// <param name="error">The error number.</param>
    public void Fail(int error) => _library.Write(0, error);

    /// <summary>Ends it.</summary>
    public void End() => _library.Write(0, 0);

    /// <inheritdoc/>
    public void Dispose() => _library.Dispose();
}
