using System.Net;
using System.Net.Sockets;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.Tests.Network;

namespace Quorumail.Cluster.Tests;

/// <summary>Cluster managers in this process that speak over loopback.</summary>
internal sealed class ManagedCluster : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly Dictionary<string, int> _ports = new(StringComparer.Ordinal);

    private readonly ClusterTimers _timers;

    public ManagedCluster(int count, ClusterTimers? timers = null)
    {
        _timers = timers ?? TestCluster.Timers;
        TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (TcpListener listener in listeners)
        {
            listener.Start();
            _ports[$"node{_ports.Count + 1}"] = ((IPEndPoint)listener.LocalEndpoint).Port;
        }

        foreach (TcpListener listener in listeners)
        {
            listener.Dispose();
        }
    }

    public SortedDictionary<string, ClusterManager> Managers { get; } = new(StringComparer.Ordinal);

    public IEnumerable<string> Names => _ports.Keys;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ClusterManager this[string nodeId] => Managers[nodeId];

    public static async Task<ManagedCluster> StartAsync(int count, ClusterTimers? timers = null)
    {
        ManagedCluster cluster = new(count, timers);
        await Task.WhenAll(cluster.Names.Select(name => cluster.StartAsync(name)).ToArray());
        await cluster.ReadyAsync();
        return cluster;
    }

    public ClusterConfig Config(string nodeId) => new()
    {
        NodeId = nodeId,
        BindAddress = "127.0.0.1",
        BindPort = _ports[nodeId],
        Peers = [.. _ports.Values.Select(port => $"127.0.0.1:{port}")],
        HeartbeatIntervalMs = 200,
        HeartbeatTimeoutMs = 800,
        Timers = _timers,
        DataDirectory = _directory[nodeId],
    };

    public async Task<ClusterManager> StartAsync(string nodeId)
    {
        ClusterManager manager = new(Config(nodeId));
        lock (Managers)
        {
            Managers[nodeId] = manager;
        }

        await manager.StartAsync(Token);
        return manager;
    }

    public async Task StopAsync(string nodeId)
    {
        await Managers[nodeId].DisposeAsync();
        Managers.Remove(nodeId);
    }

    /// <summary>Waits until every node can write and sees all of them as healthy.</summary>
    public Task ReadyAsync() => UntilAsync(() => Managers.Values.All(manager =>
        manager.IsReady && manager.GetClusterStats() is { } stats && stats.TotalNodes == _ports.Count && stats.HealthyNodes == Managers.Count));

    public Task UntilAsync(Func<bool> condition) => Eventually.TrueAsync(condition, Describe);

    /// <summary>The one that leads.</summary>
    public async Task<ClusterManager> LeaderAsync()
    {
        await UntilAsync(() => Managers.Values.Count(manager => manager.LocalNode.Role == Core.Cluster.NodeRole.Leader && manager.IsReady) == 1);
        return Managers.Values.Single(manager => manager.LocalNode.Role == Core.Cluster.NodeRole.Leader);
    }

    public string Describe() => string.Join('\n', Managers.Select(pair =>
        $"{pair.Key}: term {pair.Value.Term}, leader {pair.Value.LeaderId}, obstacle {pair.Value.Obstacle}, failed {pair.Value.Failed.IsCompleted}\n  "
        + string.Join("\n  ", pair.Value.Nodes.Select(node => $"{node.Id} {node.Address}:{node.Port} {node.Role} {node.Status} {node.Reason}")) + "\n  "
        + string.Join("\n  ", pair.Value.Events.TakeLast(10).Select(happened => $"{happened.Time:mm:ss.fff} {happened.Kind} t{happened.Term} {happened.Text}"))));

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(Managers.Values.Select(async manager => await manager.DisposeAsync()));
        _directory.Dispose();
    }
}
