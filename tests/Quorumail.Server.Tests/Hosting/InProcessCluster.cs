using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Server.Configuration;
using Quorumail.Server.Hosting;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Hosting;

/// <summary>Three real nodes in this process, each of which may pass for an older program.</summary>
internal sealed class InProcessCluster : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TemporaryDirectory _directory = new();
    private readonly Dictionary<string, int> _ports = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, Node> _nodes = new(StringComparer.Ordinal);
    private readonly LimitsOptions _limits;

    public InProcessCluster(LimitsOptions? limits = null)
    {
        _limits = limits ?? new LimitsOptions();
        TcpListener[] listeners = [.. Names.Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (var (name, listener) in Names.Zip(listeners))
        {
            listener.Start();
            _ports[name] = ((IPEndPoint)listener.LocalEndpoint).Port;
        }

        Array.ForEach(listeners, listener => listener.Dispose());
    }

    public static IReadOnlyList<string> Names { get; } = ["node1", "node2", "node3"];

    /// <summary>Those that run.</summary>
    public IReadOnlyCollection<Node> Nodes => _nodes.Values;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public Node this[string name] => _nodes[name];

    public string DirectoryOf(string name) => Path.Combine(_directory.Path, name);

    public Task StartAsync(int featureLevel) => Task.WhenAll(Names.Select(name => StartAsync(name, featureLevel)));

    public async Task StartAsync(string name, int featureLevel, long minFree = 0)
    {
        var options = new QuorumailOptions
        {
            Storage = new StorageOptions { Path = DirectoryOf(name), MinFree = minFree },
            Limits = _limits,
            Cluster = new ClusterOptions
            {
                Enabled = true,
                NodeId = name,
                BindAddress = IPAddress.Loopback,
                BindPort = _ports[name],
                Peers = [.. _ports.Values.Select(port => $"127.0.0.1:{port}")],
                AuthEnabled = false,
                HeartbeatIntervalMs = 200,
                HeartbeatTimeoutMs = 800,
                ConsensusHeartbeatMs = 60,
                ConsensusElectionMinMs = 300,
                ConsensusElectionMaxMs = 600,
            },
        };
        var mail = await ClusterMail.StartAsync(options, featureLevel, TimeProvider.System, NullLoggerFactory.Instance, Token);
        await mail.BeginAsync(Token);
        lock (_nodes)
        {
            _nodes[name] = new Node(mail, new NodeLimits(options, mail.Queue, mail.Manager, TimeProvider.System, NullLoggerFactory.Instance));
        }
    }

    public async Task StopAsync(string name)
    {
        await _nodes[name].DisposeAsync();
        _nodes.Remove(name);
    }

    public async Task UntilAsync(Func<bool> condition)
    {
        var start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
            {
                Assert.Fail(string.Join('\n', _nodes.Select(node =>
                    $"{node.Key}: level {node.Value.Mail.Manager.Node?.FeatureLevel}, leader {node.Value.Mail.Manager.LeaderId}, {node.Value.Mail.Manager.Obstacle}, "
                    + $"members {node.Value.Mail.Queue.Limits.Rules.MemberCount}, {string.Join("; ", node.Value.Mail.Queue.Messages(3))}")));
            }

            await Task.Delay(20, Token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_nodes.Values.Select(node => node.DisposeAsync().AsTask()));
        _directory.Dispose();
    }

    internal sealed record Node(ClusterMail Mail, NodeLimits Limits) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Limits.DisposeAsync();
            await Mail.DisposeAsync();
        }
    }
}
