using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Quorumail.Server.Demo;

/// <summary>The process of a node. What it prints goes to a file.</summary>
internal sealed partial class DemoProcess : IDisposable
{
    private const string SessionProgram = "/usr/bin/setsid";

    /// <summary>After so many octets a log file is put aside, and the one before it goes.</summary>
    private const long LogLimit = 64L << 20;

    private readonly Process _process;
    private readonly Task _logging;

    private DemoProcess(Process process, Task logging)
    {
        _process = process;
        _logging = logging;
    }

    /// <summary>For those who want to kill it.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>What it ended with.</summary>
    public int ExitCode => _process.ExitCode;

    /// <summary>Starts a node: this very program, with the node's settings and none of the environment's.</summary>
    /// <param name="node">Which.</param>
    /// <param name="all">Its cluster.</param>
    /// <param name="inOwnSession">A terminal's Ctrl-C does not reach it, where the system has setsid.</param>
    public static DemoProcess Start(DemoNode node, IReadOnlyList<DemoNode> all, bool inOwnSession = false)
    {
        Directory.CreateDirectory(node.Directory);
        if (node.Settings.Length > 0)
        {
            File.WriteAllText(Path.Combine(node.Directory, "config.toml"), node.Settings);
        }

        var program = Environment.ProcessPath!;
        var hasSession = inOwnSession && File.Exists(SessionProgram);
        var start = new ProcessStartInfo(hasSession ? SessionProgram : program)
        {
            WorkingDirectory = node.Directory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        if (hasSession)
        {
            start.ArgumentList.Add(program);
        }

        if (Path.GetFileNameWithoutExtension(program) is "dotnet")
        {
            start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        }

        foreach (var argument in node.Arguments())
        {
            start.ArgumentList.Add(argument);
        }

        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("SMTP_", StringComparison.Ordinal)).ToArray())
        {
            start.Environment.Remove(name);
        }

        foreach (var (name, value) in node.Variables(all))
        {
            start.Environment[name] = value;
        }

        var process = Process.Start(start)!;
        return new DemoProcess(process, LogAsync(process, node.LogPath));
    }

    /// <summary>Sends it a signal, unless it has ended.</summary>
    public void Send(DemoSignal signal)
    {
        if (!_process.HasExited)
        {
            _ = Kill(_process.Id, (int)signal);
        }
    }

    /// <summary>Waits for its end; after the patience it is killed.</summary>
    public async Task EndAsync(TimeSpan patience)
    {
        using var bound = new CancellationTokenSource(patience);
        try
        {
            await _process.WaitForExitAsync(bound.Token);
        }
        catch (OperationCanceledException)
        {
            _process.Kill();
        }

        await _logging;
    }

    /// <summary>Waits for its end.</summary>
    public Task WaitAsync(CancellationToken token) => _process.WaitForExitAsync(token);

    /// <inheritdoc/>
    public void Dispose() => _process.Dispose();

    private static async Task LogAsync(Process process, string path)
    {
        var file = Open();
        using var turn = new SemaphoreSlim(1);
        await Task.WhenAll(CopyAsync(process.StandardOutput.BaseStream), CopyAsync(process.StandardError.BaseStream));
        await file.DisposeAsync();

        FileStream Open() => new(path, FileMode.Append, FileAccess.Write, FileShare.Read);

        async Task CopyAsync(Stream source)
        {
            var buffer = new byte[16 * 1024];
            while (await source.ReadAsync(buffer) is > 0 and var read)
            {
                await turn.WaitAsync();
                await file.WriteAsync(buffer.AsMemory(0, read));
                await file.FlushAsync();
                if (file.Length > LogLimit)
                {
                    await file.DisposeAsync();
                    File.Move(path, path + ".1", overwrite: true);
                    file = Open();
                }

                turn.Release();
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
