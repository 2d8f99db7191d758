using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Journal;
using Quorumail.Core.Limits;
using Quorumail.Server.Configuration;
using Quorumail.Server.Hosting;
using Quorumail.Server.Limits;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Hosting;

/// <summary>A cluster that is upgraded node by node: real nodes in this process, one of which says that it knows less.</summary>
public sealed class MixedVersionTests : IAsyncLifetime
{
    private const string Limit = LimitNames.PerUser;

    private static readonly string[] Three = ["node1", "node2", "node3"];
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Several looks of the leader's <see cref="LimitDuties"/>, each of which would define the limits.</summary>
    private static readonly TimeSpan SeveralLooks = TimeSpan.FromSeconds(1);

    private readonly TemporaryDirectory _directory = new();
    private readonly Dictionary<string, int> _ports = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, Node> _nodes = new(StringComparer.Ordinal);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        TcpListener[] listeners = [.. Three.Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (var (name, listener) in Three.Zip(listeners))
        {
            listener.Start();
            _ports[name] = ((IPEndPoint)listener.LocalEndpoint).Port;
        }

        Array.ForEach(listeners, listener => listener.Dispose());
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_nodes.Values.Select(node => node.DisposeAsync().AsTask()));
        _directory.Dispose();
    }

    [Fact]
    public async Task The_log_holds_no_limits_before_every_member_knows_them_and_does_from_then_on()
    {
        await Task.WhenAll(StartAsync("node1", FeatureLevels.Limits - 1), StartAsync("node2", FeatureLevels.Limits), StartAsync("node3", FeatureLevels.Limits));
        await UntilAsync(() => _nodes.Values.All(node => node.Mail.Manager.Node?.FeatureLevel == FeatureLevels.Limits - 1));
        await Task.Delay(SeveralLooks, Token);

        Assert.All(_nodes.Values, node => Assert.Null(node.Mail.Queue.Limits.Records));
        Assert.All(_nodes.Values, node => Assert.Equal(LimitVerdict.Passed, node.Limits.Shared.TryTake(Limit, "ann", out _, out _)));
        Assert.All(Three, name => Assert.Equal((true, false), Logged(name)));

        await _nodes["node1"].DisposeAsync();
        _nodes.Remove("node1");
        await StartAsync("node1", FeatureLevels.Limits);

        await UntilAsync(() => _nodes.Values.All(node => node.Mail.Queue.Limits.Rules is { MemberCount: 3 } rules && rules.Has(Limit)));
        Assert.All(_nodes.Values, node => Assert.Equal(FeatureLevels.Limits, node.Mail.Manager.Node!.FeatureLevel));
        Assert.All(Three, name => Assert.Equal((true, true), Logged(name)));
    }

    private async Task StartAsync(string name, int featureLevel)
    {
        var options = new QuorumailOptions
        {
            Storage = new StorageOptions { Path = Path.Combine(_directory.Path, name), MinFree = 0 },
            Limits = new LimitsOptions { MaxMessagesPerUser = new MessageRate(100, TimeSpan.FromDays(1)) },
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

    /// <summary>Whether a node's log holds commands of the queue, and of the limits.</summary>
    private (bool OfQueue, bool OfLimits) Logged(string name)
    {
        var (ofQueue, ofLimits) = (false, false);
        foreach (var _ in JournalDump.Render(Path.Combine(_directory.Path, name, "log"), 0, Look))
        {
            // Looked at on the way.
        }

        return (ofQueue, ofLimits);

        string Look(ReadOnlyMemory<byte> command)
        {
            var isLimit = ReplicatedLimits.IsCommand(command.Span);
            ofLimits |= isLimit;
            ofQueue |= !isLimit;
            return "";
        }
    }

    private async Task UntilAsync(Func<bool> condition)
    {
        var start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
            {
                Assert.Fail(string.Join('\n', _nodes.Select(node =>
                    $"{node.Key}: level {node.Value.Mail.Manager.Node?.FeatureLevel}, leader {node.Value.Mail.Manager.LeaderId}, {node.Value.Mail.Manager.Obstacle}, members {node.Value.Mail.Queue.Limits.Rules.MemberCount}")));
            }

            await Task.Delay(20, Token);
        }
    }

    private sealed record Node(ClusterMail Mail, NodeLimits Limits) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Limits.DisposeAsync();
            await Mail.DisposeAsync();
        }
    }
}
