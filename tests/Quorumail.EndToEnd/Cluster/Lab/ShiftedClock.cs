namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>A wall clock that can jump, for one process; see clockshift.c.</summary>
internal sealed class ShiftedClock : IDisposable
{
    private const long NanosecondsPerTick = 100;

    private readonly PreloadedLibrary _library;

    private ShiftedClock(PreloadedLibrary library) => _library = library;

    /// <summary>What the process needs in its environment.</summary>
    public IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["LD_PRELOAD"] = _library.Path,
        ["CLOCK_SHIFT"] = _library.NumbersPath,
    };

    /// <summary>How much the clock is ahead; setting it is a jump.</summary>
    public TimeSpan Shift
    {
        get;
        set
        {
            field = value;
            _library.Write(value.Ticks * NanosecondsPerTick);
        }
    }

    /// <summary>Makes one.</summary>
    public static async Task<ShiftedClock> CreateAsync(CancellationToken token) => new(await PreloadedLibrary.CreateAsync("clockshift.c", [0], token));

    /// <inheritdoc/>
    public void Dispose() => _library.Dispose();
}
