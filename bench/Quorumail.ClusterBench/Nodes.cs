using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Quorumail.ClusterBench;

/// <summary>Three processes on this machine that keep shared state, each with a directory of its own.</summary>
internal abstract class Nodes : IAsyncDisposable
{
    public const int Count = 3;

    private readonly List<Process> _processes = [];

    protected Nodes() => Directory = System.IO.Directory.CreateTempSubdirectory("quorumail-cluster-bench-").FullName;

    /// <summary>For the table.</summary>
    public abstract string Name { get; }

    protected string Directory { get; }

    /// <summary>Processor time of all nodes so far, user and system.</summary>
    public TimeSpan ProcessorTime => _processes.Aggregate(TimeSpan.Zero, (sum, process) =>
    {
        process.Refresh();
        return sum + process.TotalProcessorTime;
    });

    /// <summary>Resident memory of all nodes, in MiB.</summary>
    public long Megabytes => _processes.Sum(process =>
    {
        process.Refresh();
        return process.WorkingSet64 >> 20;
    });

    /// <summary>Starts the nodes and returns when one write has been taken.</summary>
    public async Task StartAsync()
    {
        await LaunchAsync();
        var watch = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
                for (var writer = 0; writer < Count; writer++)
                {
                    await PutAsync(writer, "ready", new byte[1], patience.Token);
                }

                return;
            }
            catch (Exception problem) when (watch.Elapsed < TimeSpan.FromSeconds(60))
            {
                if (_processes.Find(process => process.HasExited) is { } ended)
                {
                    throw new InvalidOperationException($"a node of {Name} ended with {ended.ExitCode}; see {Directory}", problem);
                }

                await Task.Delay(200);
            }
        }
    }

    /// <summary>Writes a value durably, through the node that is the writer's.</summary>
    public abstract Task PutAsync(int writer, string key, ReadOnlyMemory<byte> value, CancellationToken token);

    /// <summary>Has writers write for a time, each as soon as its last write is answered; returns all latencies in ms.</summary>
    public virtual Task<double[]> LoadAsync(int writers, byte[] value, TimeSpan duration) =>
        Load.RunAsync(Enumerable.Range(0, writers), value, duration, PutAsync);

    public virtual async ValueTask DisposeAsync()
    {
        foreach (var process in _processes)
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }

        System.IO.Directory.Delete(Directory, recursive: true);
    }

    protected abstract Task LaunchAsync();

    /// <summary>Starts a node that is talked to by its standard input and output.</summary>
    protected Process LaunchTalking(string program, string name, IEnumerable<string> arguments)
    {
        var log = Path.Combine(Directory, name + ".log");
        var start = new ProcessStartInfo("/bin/sh", ["-c", "exec \"$@\" 2>\"$0\"", log, program, .. arguments])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        var process = Process.Start(start)!;
        _processes.Add(process);
        return process;
    }

    protected void Launch(string program, string name, IEnumerable<string> arguments)
    {
        var log = Path.Combine(Directory, name + ".log");
        var start = new ProcessStartInfo("/bin/sh", ["-c", "exec \"$@\" >\"$0\" 2>&1", log, program, .. arguments]) { UseShellExecute = false };
        _processes.Add(Process.Start(start)!);
    }

    protected static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    protected static string Local(int port) => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
}
