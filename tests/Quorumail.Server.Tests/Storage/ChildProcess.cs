using System.Diagnostics;

namespace Quorumail.Server.Tests.Storage;

/// <summary>
/// Runs one explicit test of this assembly in a process of its own, which the caller may kill. The child gets a
/// directory to work in and appends to the file <c>acked</c> in it.
/// </summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private const string DirectoryVariable = "QUORUMAIL_TEST_CHILD_DIRECTORY";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly string _acked;
    private readonly Task<string> _output;

    private ChildProcess(Process process, string acked)
    {
        _process = process;
        _acked = acked;
        _output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
    }

    /// <summary>In a child: its directory. Null in any other process.</summary>
    public static string? Directory => Environment.GetEnvironmentVariable(DirectoryVariable);

    /// <summary>Starts a child.</summary>
    /// <param name="method">Full name of the explicit test.</param>
    /// <param name="directory">Its directory.</param>
    /// <param name="prefix">Program and arguments to run it by (strace …); empty for none.</param>
    public static ChildProcess Start(string method, string directory, params string[] prefix)
    {
        var program = Path.Combine(
            AppContext.BaseDirectory, typeof(ChildProcess).Assembly.GetName().Name!);
        string[] command = [.. prefix, program, "-explicit", "only", "-method", method];
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, UseShellExecute = false };
        start.Environment[DirectoryVariable] = directory;
        return new ChildProcess(Process.Start(start)!, Path.Combine(directory, "acked"));
    }

    /// <summary>Lines that the child has acknowledged so far; a line that is still being written is left out.</summary>
    public static string[] Acked(string directory)
    {
        var file = Path.Combine(directory, "acked");
        if (!File.Exists(file))
        {
            return [];
        }

        using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        var text = reader.ReadToEnd();
        return text[..(text.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>Opens the file for a child to acknowledge in; what is written to it survives the process.</summary>
    public static StreamWriter OpenAcks(string directory) => new(
        new FileStream(Path.Combine(directory, "acked"), FileMode.Append, FileAccess.Write, FileShare.Read))
    {
        AutoFlush = true,
    };

    /// <summary>Waits until the child has acknowledged so many lines.</summary>
    public async Task WaitForAcksAsync(int count)
    {
        var watch = Stopwatch.StartNew();
        while (Acked(Path.GetDirectoryName(_acked)!).Length < count)
        {
            if (_process.HasExited || watch.Elapsed > Patience)
            {
                throw new InvalidOperationException(
                    $"the child {(_process.HasExited ? "ended" : "hangs")} before {count} acknowledgements: "
                    + (_process.HasExited ? await _output : ""));
            }

            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync(CancellationToken.None);
    }

    /// <summary>Waits until the child ends by itself.</summary>
    /// <returns>What it wrote to standard output.</returns>
    public async Task<string> WaitForExitAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        await _process.WaitForExitAsync(patience.Token);
        return await _output;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await KillAsync();
        }

        _process.Dispose();
    }
}
