using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Quorumail.EndToEnd.Processes;

/// <summary>
/// A program that a test runs in a session of its own, so that it and all that it starts can be ended together, with its
/// output in a file. Every one that still runs when the tests end is killed.
/// </summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private static readonly ConcurrentDictionary<int, bool> Running = new();

    private readonly Process _process;
    private readonly string _logPath;

    static ChildProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (var id in Running.Keys)
        {
            SendToGroup(id, Signal.Kill);
        }
    };

    private ChildProcess(Process process, string logPath)
    {
        _process = process;
        _logPath = logPath;
    }

    /// <summary>The process id, which is also the id of its session and process group.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>Its exit code, once it has ended; 128 + n after signal n.</summary>
    public int ExitCode => _process.ExitCode;

    /// <summary>All that it has written to standard output and error so far.</summary>
    public string Output => File.Exists(_logPath) ? ReadShared(_logPath) : "";

    /// <summary>The last lines of <see cref="Output"/>, for messages.</summary>
    public string OutputTail
    {
        get
        {
            // A line a message would hide what happened to the cluster.
            var lines = Output.Split('\n');
            return string.Join('\n', [.. lines.SkipLast(25).Where(IsOfNote).TakeLast(40), .. lines.TakeLast(25)]);

            static bool IsOfNote(string line) =>
                line.Contains(" cluster: ", StringComparison.Ordinal) || line.Contains(" bodies: ", StringComparison.Ordinal)
                || line.Contains(" warn ", StringComparison.Ordinal) || line.Contains(" error ", StringComparison.Ordinal);
        }
    }

    /// <summary>Starts <paramref name="program"/>; its output is appended to <paramref name="logPath"/>.</summary>
    public static ChildProcess Start(
        string program,
        IEnumerable<string> arguments,
        string logPath,
        string? workingDirectory = null,
        IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo("/bin/sh") { UseShellExecute = false, RedirectStandardInput = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("log=$1; shift; exec setsid \"$@\" >>\"$log\" 2>&1");
        start.ArgumentList.Add("sh");
        start.ArgumentList.Add(logPath);
        start.ArgumentList.Add(program);
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        start.WorkingDirectory = workingDirectory ?? Path.GetDirectoryName(logPath)!;
        if (environment is not null)
        {
            foreach (var (name, value) in environment)
            {
                start.Environment[name] = value;
            }
        }

        var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} could not be started.");
        Running[process.Id] = true;
        process.StandardInput.Close();
        return new ChildProcess(process, logPath);
    }

    /// <summary>Runs a program to its end and returns it; over <paramref name="limit"/> it is killed and an exception tells its output.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(
        string program,
        IEnumerable<string> arguments,
        TimeSpan limit,
        CancellationToken token,
        string? workingDirectory = null,
        IReadOnlyDictionary<string, string>? environment = null)
    {
        using var directory = new TemporaryDirectory();
        await using var child = Start(
            program, arguments, directory["output"], workingDirectory ?? directory.Path, environment);
        var code = await child.WaitAsync(limit, token);
        return (code, child.Output);
    }

    /// <summary>Sends a signal to the process alone.</summary>
    public void Send(Signal signal)
    {
        if (!_process.HasExited)
        {
            _ = KillNative(Id, (int)signal);
        }
    }

    /// <summary>Waits for its end.</summary>
    /// <exception cref="TimeoutException">It still runs after <paramref name="limit"/>.</exception>
    public async Task<int> WaitAsync(TimeSpan limit, CancellationToken token)
    {
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(limit);
        try
        {
            await _process.WaitForExitAsync(bound.Token);
        }
        catch (OperationCanceledException e) when (!token.IsCancellationRequested)
        {
            throw new TimeoutException(
                $"{_process.StartInfo.ArgumentList[4]} still runs after {limit.TotalSeconds:0.#} s. Its output ends:\n{OutputTail}", e);
        }

        return _process.ExitCode;
    }

    /// <summary>Kills it and everything of its session with SIGKILL, and waits until it is gone.</summary>
    public async Task KillAsync()
    {
        SendToGroup(Id, Signal.Kill);
        await _process.WaitForExitAsync(CancellationToken.None);
        Running.TryRemove(Id, out _);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _process.Dispose();
    }

    private static string ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    private static void SendToGroup(int id, Signal signal) => _ = KillNative(-id, (int)signal);

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int KillNative(int id, int signal);
}
