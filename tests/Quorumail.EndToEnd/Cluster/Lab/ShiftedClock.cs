using System.Globalization;
using Quorumail.EndToEnd.Processes;

namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>A wall clock that can jump, for one process; see clockshift.c.</summary>
internal sealed class ShiftedClock : IDisposable
{
    private const long NanosecondsPerTick = 100;

    private readonly TemporaryDirectory _directory = new();

    private ShiftedClock() => Shift = TimeSpan.Zero;

    /// <summary>What the process needs in its environment.</summary>
    public IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["LD_PRELOAD"] = _directory["clockshift.so"],
        ["CLOCK_SHIFT"] = _directory["shift"],
    };

    /// <summary>How much the clock is ahead; setting it is a jump.</summary>
    public TimeSpan Shift
    {
        get;
        set
        {
            field = value;
            using var file = new FileStream(_directory["shift"], FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite);
            file.Write(BitConverter.GetBytes(value.Ticks * NanosecondsPerTick));
        }
    }

    /// <summary>Null if this machine can have one, else why not.</summary>
    public static string? Obstacle() =>
        (System.Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(path => File.Exists(Path.Combine(path, "gcc")))
            ? null
            : "gcc is not there, which a clock that can jump needs";

    /// <summary>Makes one.</summary>
    public static async Task<ShiftedClock> CreateAsync(CancellationToken token)
    {
        var clock = new ShiftedClock();
        var source = Path.Combine(Repository.Tests, "Cluster", "Lab", "clockshift.c");
        var (code, output) = await ChildProcess.RunAsync(
            "gcc", ["-O2", "-shared", "-fPIC", "-o", clock._directory["clockshift.so"], source, "-ldl"], TimeSpan.FromSeconds(60), token);
        Assert.True(code == 0, string.Create(CultureInfo.InvariantCulture, $"gcc ended with {code}: {output}"));
        return clock;
    }

    /// <inheritdoc/>
    public void Dispose() => _directory.Dispose();
}
