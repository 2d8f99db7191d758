using System.Runtime.InteropServices;
using Quorumail.EndToEnd.Processes;

namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>A library of this folder that stands between a process and libc, and does what some numbers in a file say, at any time.</summary>
internal sealed class PreloadedLibrary : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private PreloadedLibrary()
    {
    }

    /// <summary>The library.</summary>
    public string Path => _directory["preloaded.so"];

    /// <summary>The file with the numbers.</summary>
    public string NumbersPath => _directory["numbers"];

    /// <summary>Null if this machine can have one, else why not.</summary>
    public static string? Obstacle() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(path => File.Exists(System.IO.Path.Combine(path, "gcc")))
            ? null
            : "gcc is not there, which what stands between a process and libc is made with";

    /// <summary>Makes one.</summary>
    /// <param name="source">The name of its source.</param>
    /// <param name="numbers">What the numbers are at first.</param>
    /// <param name="token">Ends it.</param>
    public static async Task<PreloadedLibrary> CreateAsync(string source, long[] numbers, CancellationToken token)
    {
        var library = new PreloadedLibrary();
        library.Write(numbers);
        var (code, output) = await ChildProcess.RunAsync(
            "gcc", ["-O2", "-shared", "-fPIC", "-o", library.Path, System.IO.Path.Combine(Repository.Tests, "Cluster", "Lab", source), "-ldl"], TimeSpan.FromSeconds(60), token);
        Assert.True(code == 0, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"gcc ended with {code}: {output}"));
        return library;
    }

    /// <summary>Changes the numbers.</summary>
    public void Write(params long[] numbers)
    {
        using var file = new FileStream(NumbersPath, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite);
        file.Write(MemoryMarshal.AsBytes<long>(numbers));
    }

    /// <inheritdoc/>
    public void Dispose() => _directory.Dispose();
}
