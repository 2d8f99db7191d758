using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.Server.Torture.Cluster;

/// <summary>A cluster of processes on this machine that is made to be tortured, and goes with the torture.</summary>
internal sealed class OwnCluster : ITortureCluster
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(40);

    private readonly ConcurrentQueue<string> _failures = new();
    private readonly HashSet<DemoNode> _down = [];
    private readonly DemoNodes _nodes;
    private readonly ProcessFaults _faults;
    private readonly TortureLog _log;
    private bool _keep;

    /// <summary>Plans it; nothing runs yet.</summary>
    /// <param name="count">How many nodes, 1 to 7.</param>
    /// <param name="sink">Gets all mail; this cluster's from now on.</param>
    /// <param name="log">Told where it is.</param>
    public OwnCluster(int count, SmtpSink sink, TortureLog log)
    {
        Directory = System.IO.Directory.CreateTempSubdirectory("quorumail-torture-").FullName;
        Sink = sink;
        _log = log;
        _nodes = new DemoNodes([.. DemoNode.Plan(count, Directory).Select(node => node with { Settings = Settings(sink.Port) })], inOwnSessions: true);
        Nodes = [.. _nodes.All.Select(node => new TortureNode(node.Name, new IPEndPoint(IPAddress.Loopback, node.SmtpPort)))];
        Api = new TortureApi([.. _nodes.All.Select(node => node.HttpAddress)], token: "");
        _faults = new ProcessFaults(this);
    }

    /// <inheritdoc/>
    public IReadOnlyList<TortureNode> Nodes { get; }

    /// <inheritdoc/>
    public SmtpSink Sink { get; }

    /// <inheritdoc/>
    public TortureApi Api { get; }

    /// <inheritdoc/>
    public TimeSpan DrainLimit => TimeSpan.FromMinutes(2);

    /// <inheritdoc/>
    public IReadOnlyCollection<string> Failures => _failures;

    /// <inheritdoc/>
    public string Directory { get; }

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken token)
    {
        _log.Say($"{Nodes.Count} {(Nodes.Count == 1 ? "node starts" : "nodes start")} in {Directory}");
        foreach (var node in _nodes.All)
        {
            _nodes.Start(node);
        }

        if (await _nodes.WaitUntilReadyAsync(token) is { } problem)
        {
            _keep = true;
            throw new TortureException($"{problem}\nEverything is left in {Directory}");
        }
    }

    /// <inheritdoc/>
    public async Task<TortureFault?> DrawAsync(Random random, CancellationToken token)
    {
        var leader = await Api.LeaderAsync(token);
        return _faults.Draw(random, Math.Max(0, Nodes.TakeWhile(node => node.Name != leader).Count() % Nodes.Count));
    }

    /// <inheritdoc/>
    public async Task MendAsync(CancellationToken token)
    {
        for (var i = 0; i < Nodes.Count; i++)
        {
            Resume(i);
            Start(i);
        }

        if (await _nodes.WaitUntilReadyAsync(token) is { } problem)
        {
            _failures.Enqueue(problem);
        }
    }

    /// <inheritdoc/>
    public void Keep() => _keep = true;

    /// <summary>kill -9.</summary>
    public async Task KillAsync(int index)
    {
        var process = Expect(index);
        process.Send(DemoSignal.Kill);
        await process.EndAsync(StopTimeout);
    }

    /// <summary>SIGTERM; it must end by itself, and with 0.</summary>
    public async Task StopAsync(int index)
    {
        var process = Expect(index);
        process.Send(DemoSignal.Terminate);
        await process.EndAsync(StopTimeout);
        if (process.ExitCode != 0)
        {
            _failures.Enqueue($"{Nodes[index].Name} ended with exit code {process.ExitCode} after SIGTERM, not with 0");
        }
    }

    /// <summary>SIGSTOP.</summary>
    public void Pause(int index) => _nodes[_nodes.All[index]].Send(DemoSignal.Stop);

    /// <summary>SIGCONT.</summary>
    public void Resume(int index) => _nodes[_nodes.All[index]].Send(DemoSignal.Continue);

    /// <summary>Starts a node that has ended; that it ended by itself is a failure.</summary>
    public void Start(int index)
    {
        var node = _nodes.All[index];
        var isExpected = _down.Remove(node);
        if (!_nodes[node].HasExited)
        {
            return;
        }

        if (!isExpected)
        {
            _failures.Enqueue($"{node.Name} ended by itself, with exit code {_nodes[node].ExitCode}");
        }

        _nodes.Start(node);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var process in _nodes.Processes)
        {
            process.Send(DemoSignal.Kill);
            await process.EndAsync(StopTimeout);
            process.Dispose();
        }

        await Sink.DisposeAsync();
        Api.Dispose();
        if (!_keep)
        {
            System.IO.Directory.Delete(Directory, recursive: true);
        }
    }

    private DemoProcess Expect(int index)
    {
        var node = _nodes.All[index];
        _down.Add(node);
        return _nodes[node];
    }

    private static string Settings(int sinkPort) => string.Create(CultureInfo.InvariantCulture, $"""
        [server]
        trusted_networks = ["127.0.0.0/8"]
        [cluster]
        in_doubt_wait = "2s"
        [queue]
        retry_schedule = ["1s"]
        [[routes]]
        match = "*"
        transport = "smtp"
        host = "127.0.0.1"
        port = {sinkPort}

        """);
}
