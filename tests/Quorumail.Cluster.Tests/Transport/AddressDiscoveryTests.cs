using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Transport;

public sealed class AddressDiscoveryTests
{
    private readonly Channel<string> _dialled = Channel.CreateUnbounded<string>();

    [Fact]
    public async Task The_addresses_of_a_headless_service_are_dialled_as_they_change()
    {
        var answers = new Queue<Func<IPAddress[]>>(
        [
            () => throw new SocketException((int)SocketError.HostNotFound),
            () => [],
            () => [IPAddress.Parse("10.0.0.1")],
            () => [IPAddress.Parse("10.0.0.2"), IPAddress.Parse("2001:db8::1"), IPAddress.Parse("10.0.0.1")],
            () => throw new SocketException((int)SocketError.TryAgain),
            () => [IPAddress.Parse("10.0.0.1"), IPAddress.Parse("2001:db8::1"), IPAddress.Parse("10.0.0.2")],
            () => [IPAddress.Parse("10.0.0.3")],
        ]);
        var asked = new List<string>();
        await RunAsync(
            new DiscoveryOptions
            {
                Port = 9001,
                Resolve = (name, _) =>
                {
                    asked.Add(name);
                    return Task.FromResult(answers.Count > 1 ? answers.Dequeue()() : answers.Peek()());
                },
            },
            "listed:9000",
            "listed:9000,10.0.0.1:9001",
            "listed:9000,10.0.0.1:9001,10.0.0.2:9001,[2001:db8::1]:9001",
            "listed:9000,10.0.0.3:9001");
        Assert.All(asked, name => Assert.Equal("smtp-cluster", name));
    }

    [Fact]
    public Task A_name_with_an_underscore_is_asked_for_targets_and_ports() => RunAsync(
        new DiscoveryOptions
        {
            Name = "_cluster._tcp.smtp-cluster",
            ResolveService = (_, _) => Task.FromResult<IReadOnlyList<PeerAddress>>([new PeerAddress("node-1.test", 9000), new PeerAddress("node-2.test", 9002)]),
        },
        "listed:9000",
        "listed:9000,node-1.test:9000,node-2.test:9002");

    [Fact]
    public async Task Nodes_find_one_another_by_name_alone()
    {
        // One port and three addresses of this machine, as a headless service has.
        var hosts = new[] { "127.0.0.11", "127.0.0.12", "127.0.0.13" }.Select(IPAddress.Parse).ToArray();
        var nodes = new List<TransportNode>();
        using var stop = new CancellationTokenSource();
        var running = new List<Task>();
        foreach (var host in hosts)
        {
            var port = nodes.Count == 0 ? 0 : nodes[0].Transport.EndPoint!.Port;
            nodes.Add(await TransportNode.StartAsync($"node{nodes.Count}", TransportNode.Quick with { BindAddress = host, BindPort = port }));
        }

        foreach (var node in nodes)
        {
            var options = new DiscoveryOptions { Port = nodes[0].Transport.EndPoint!.Port, Resolve = (_, _) => Task.FromResult(hosts) };
            running.Add(new AddressDiscovery(options, [], TimeProvider.System, NullLogger.Instance).RunAsync(node.Transport.Dial, stop.Token));
        }

        await Task.WhenAll(from node in nodes from peer in nodes where node != peer select node.UntilAsync($"connected {peer.Self.NodeId}/0"));
        await stop.CancelAsync();
        await Task.WhenAll(running);
        foreach (var node in nodes)
        {
            await node.DisposeAsync();
        }
    }

    private async Task RunAsync(DiscoveryOptions options, params string[] expected)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var discovery = new AddressDiscovery(options with { Interval = TimeSpan.FromMilliseconds(1) }, ["listed:9000"], TimeProvider.System, NullLogger.Instance);
        var running = discovery.RunAsync(addresses => _dialled.Writer.TryWrite(string.Join(',', addresses.OrderBy(a => a != "listed:9000").ThenBy(a => a, StringComparer.Ordinal))), stop.Token);
        foreach (var addresses in expected)
        {
            Assert.Equal(addresses, await _dialled.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TransportNode.Patience));
        }

        await stop.CancelAsync();
        await running;
        Assert.False(_dialled.Reader.TryRead(out _));
    }
}
