using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Quorumail.EndToEnd.Cluster.State;
using Quorumail.EndToEnd.Processes;

namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>A real server on a host of the lab, with a disk whose power can be cut and whose syncs can fail, and a clock that can jump.</summary>
internal sealed partial class LabNode : IAsyncDisposable
{
    /// <summary>Port of its HTTP listener, on its own loopback.</summary>
    public const int HttpPort = 8080;

    /// <summary>Port of its SMTP listener, on its own loopback.</summary>
    public const int SmtpPort = 2525;

    /// <summary>Port of its loopback to which it relays all mail: who wants it listens there.</summary>
    public const int SinkPort = 2526;

    private const int ClusterPort = 9000;
    private const int DiskMegabytes = 4096; // A file with holes: only what is used takes space.

    /// <summary>How long a lost node's open attempts are waited for: short, since tests wait for it, too.</summary>
    private static readonly TimeSpan InDoubtWait = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan AskLimit = TimeSpan.FromSeconds(2);

    private readonly TemporaryDirectory _directory = new();
    private readonly LabGuard _guard;
    private ChildProcess? _child;

    private LabNode(int index, LabHost host, LabGuard guard, PowerCutDisk disk, ShiftedClock? clock, SyncTrouble? syncs)
    {
        Index = index;
        Host = host;
        Disk = disk;
        Clock = clock;
        Syncs = syncs;
        _guard = guard;
        _guard.Watch(disk.Path);
    }

    /// <summary>Its place among the nodes.</summary>
    public int Index { get; }

    /// <summary>Its node id.</summary>
    public string Name => NameOf(Index);

    /// <summary>Where it runs.</summary>
    public LabHost Host { get; }

    /// <summary>Where its data is.</summary>
    public PowerCutDisk Disk { get; }

    /// <summary>Its wall clock; null where a clock can't jump.</summary>
    public ShiftedClock? Clock { get; }

    /// <summary>Its syncs; null where nothing can be done to them.</summary>
    public SyncTrouble? Syncs { get; }

    /// <summary>Its data directory.</summary>
    public string DataDirectory => Path.Combine(Disk.Path, "data");

    /// <summary>Its process id.</summary>
    public int ProcessId => Child.Id;

    /// <summary>Whether its process runs.</summary>
    public bool IsRunning => _child is { HasExited: false };

    /// <summary>All that it has written in all its lives.</summary>
    public string Output => _child?.Output ?? "";

    /// <summary>The end of <see cref="Output"/>.</summary>
    public string OutputTail => _child?.OutputTail ?? "";

    private ChildProcess Child => _child ?? throw new InvalidOperationException($"{Name} was not started.");

    /// <summary>Prepares a node; nothing runs yet.</summary>
    public static async Task<LabNode> CreateAsync(int index, IReadOnlyList<LabHost> hosts, LabTimers timers, string routeLines, LabGuard guard, CancellationToken token)
    {
        var disk = PowerCutDisk.Mount(DiskMegabytes);
        try
        {
            var preloads = PreloadedLibrary.Obstacle() is null;
            var clock = preloads ? await ShiftedClock.CreateAsync(token) : null;
            var syncs = preloads ? await SyncTrouble.CreateAsync(token) : null;
            var node = new LabNode(index, hosts[index], guard, disk, clock, syncs);
            await File.WriteAllTextAsync(node._directory["config.toml"], node.Configuration(hosts, timers, routeLines), token);
            return node;
        }
        catch
        {
            disk.Dispose();
            throw;
        }
    }

    /// <summary>The node id of the node with an index.</summary>
    public static string NameOf(int index) => string.Create(CultureInfo.InvariantCulture, $"node{index + 1}");

    /// <summary>Starts its process; returns before it is ready.</summary>
    public async Task StartAsync()
    {
        if (_child is not null)
        {
            await KillAsync();
            await _child.DisposeAsync();
        }

        var (program, arguments) = Host.Inside(ServerProcess.Executable, ["--config", _directory["config.toml"]]);
        _child = ChildProcess.Start(program, arguments, _directory["output.log"], _directory.Path, Environment());
        _guard.Watch(_child.Id);
    }

    /// <summary>Ends it as a crash does.</summary>
    public async Task KillAsync()
    {
        await Child.KillAsync();
        _guard.Forget(Child.Id);
    }

    /// <summary>Sends its process a signal.</summary>
    public void Send(Signal signal) => Child.Send(signal);

    /// <summary>Asks it to end and returns its exit code.</summary>
    public async Task<int> TerminateAsync(TimeSpan limit, CancellationToken token)
    {
        Send(Signal.Terminate);
        return await ExitAsync(limit, token);
    }

    /// <summary>Waits until it has ended by itself and returns its exit code.</summary>
    public Task<int> ExitAsync(TimeSpan limit, CancellationToken token) => Child.WaitAsync(limit, token);

    /// <summary>Takes everything from its disk; it must not run.</summary>
    public void Wipe() => Directory.Delete(DataDirectory, recursive: true);

    /// <summary>Mounts again what its disk held when its power was cut; it must not run.</summary>
    public void RestorePower() => Disk.Restore();

    /// <summary>Asks something over HTTP on a connection of its own; null if it does not answer.</summary>
    public async Task<HttpAnswer?> AskAsync(string method, string path, CancellationToken token, TimeSpan? limit = null)
    {
        using var connection = new StateConnection(Host, HttpPort);
        var answer = await connection.AskAsync(method, path, default, null, limit ?? AskLimit, token);
        return answer.Status == 0 ? null : answer;
    }

    /// <summary>What it says of the cluster; null if it does not answer.</summary>
    public async Task<JsonElement?> StatusAsync(CancellationToken token) =>
        await AskAsync("GET", "/api/cluster/status", token) is { Status: 200 } answer ? JsonElement.Parse(answer.Body.Span) : null;

    /// <summary>Whether it is ready.</summary>
    public async Task<bool> IsReadyAsync(CancellationToken token) => await AskAsync("GET", "/readyz", token) is { Status: 200 };

    /// <summary>Who won which election, in the order of its log: what every node notes of itself and of others.</summary>
    public IReadOnlyList<(long Term, string Leader)> LeadersNoted() =>
        [.. LeadsTerm().Matches(Output).Select(match => (long.Parse(match.Groups["term"].ValueSpan, CultureInfo.InvariantCulture), match.Groups["node"].Value))];

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_child is not null)
        {
            await KillAsync();
            await _child.DisposeAsync();
        }

        Disk.Dispose();
        _guard.Forget(Disk.Path);
        Clock?.Dispose();
        Syncs?.Dispose();
        _directory.Dispose();
    }

    [GeneratedRegex(@": (?<node>node\d+) leads term (?<term>\d+)\.", RegexOptions.None, matchTimeoutMilliseconds: 10_000)]
    private static partial Regex LeadsTerm();

    private Dictionary<string, string> Environment()
    {
        Dictionary<string, string> all = new(StringComparer.Ordinal);
        foreach (var (name, value) in new[] { Clock?.Environment, Syncs?.Environment }.OfType<IReadOnlyDictionary<string, string>>().SelectMany(each => each))
        {
            // LD_PRELOAD is a list. The clock comes first: it asks for what is behind it, and the other answers.
            all[name] = all.TryGetValue(name, out var before) ? $"{before}:{value}" : value;
        }

        return all;
    }

    private string Configuration(IReadOnlyList<LabHost> hosts, LabTimers timers, string routeLines)
    {
        var peers = string.Join(", ", hosts.Select(host => string.Create(CultureInfo.InvariantCulture, $"\"{host.Address}:{ClusterPort}\"")));
        return string.Create(CultureInfo.InvariantCulture, $"""
            [server]
            host = "127.0.0.1"
            port = {SmtpPort}
            hostname = "{Name}.example"
            trusted_networks = ["127.0.0.0/8"]
            [storage]
            path = "{DataDirectory}"
            min_free = "64MB"
            [http]
            port = {HttpPort}
            [cluster]
            enabled = true
            node_id = "{Name}"
            bind_address = "{Host.Address}"
            bind_port = {ClusterPort}
            peers = [{peers}]
            auth_token = "a token for the lab alone"
            heartbeat_interval_ms = {timers.HeartbeatInterval.TotalMilliseconds:0}
            heartbeat_timeout_ms = {timers.HeartbeatTimeout.TotalMilliseconds:0}
            leader_election_timeout_ms = {timers.LeaderElectionTimeout.TotalMilliseconds:0}
            in_doubt_wait = "{InDoubtWait.TotalSeconds:0}s"
            [queue]
            retry_schedule = ["1s"]
            [[routes]]
            match = "*"
            transport = "smtp"
            host = "127.0.0.1"
            port = {SinkPort}
            {routeLines}

            """);
    }
}
