using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Core.Delivery;
using Quorumail.Core.Limits;
using Quorumail.Server.Delivery;
using Quorumail.Server.Limits;
using Quorumail.Server.Tests.Limits;

namespace Quorumail.Server.Tests.Delivery;

/// <summary>Several nodes that share limits deliver to one destination.</summary>
public sealed class DestinationLimitsTests : IAsyncDisposable
{
    private const string Body = "Subject: x\r\n\r\nhi\r\n";

    private readonly ScriptedPeer _peer = new();
    private readonly DirectLog _log = new(TimeProvider.System);
    private readonly List<ModelQueue> _queues = [];
    private readonly List<IAsyncDisposable> _running = [];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        foreach (var running in Enumerable.Reverse(_running))
        {
            await running.DisposeAsync();
        }

        await _peer.DisposeAsync();
    }

    [Fact]
    public async Task Two_connections_for_three_nodes_are_never_three_and_every_node_has_its_turn()
    {
        _log.DefineConnections(LimitNames.ConnectionsPerDestination, 2);
        await StartAsync(3);
        const int each = 150;
        Enqueue(each);
        await UntilAsync(() => _peer.Messages.Count == 3 * each && _queues.All(queue => queue.Messages.Count == 0));
        Assert.Equal(2, _peer.MostOpen);

        // What is not used any more is given back.
        await UntilAsync(() => _log.State.Usage(Now).Single().Granted == 0);
    }

    [Fact]
    public async Task Messages_beyond_the_rate_wait_and_are_not_lost()
    {
        Assert.Equal(
            LimitStatus.Granted,
            _log.Apply(new DefineLimitCommand(new LimitDefinition(LimitNames.DeliveriesPerDestination, LimitKind.Rate, 20, 2_000, LimitPolicy.Closed))).Status);
        await StartAsync(2);
        Enqueue(25);
        List<(long Window, int Count)> seen = [];
        _peer.AfterDot = _ =>
        {
            lock (seen)
            {
                seen.Add((Now / 2_000, 1));
            }

            return "250 2.0.0 taken\r\n";
        };
        await UntilAsync(() => _peer.Messages.Count == 50);

        // A message is counted in the window in which it was begun, and may end in the next.
        Assert.True(seen.Select(each => each.Window).Distinct().Count() >= 3);
        Assert.All(seen.GroupBy(each => each.Window), window => Assert.InRange(window.Count(), 1, 22));
    }

    [Fact]
    public async Task A_connection_whose_slot_can_not_be_kept_is_closed_before_its_lease_ends()
    {
        _log.DefineConnections(LimitNames.ConnectionsPerDestination, 1, lease: 5_000);
        await StartAsync(1);
        TaskCompletionSource never = new();
        _peer.Ehlo = "250 peer.example\r\n";
        _peer.Script = line => line.StartsWith("MAIL", StringComparison.Ordinal) ? "250-more of it never comes\r\n" : null;
        _log.Decide = command => command is KeepSlotCommand ? never.Task.ContinueWith(_ => true, Token, TaskContinuationOptions.None, TaskScheduler.Default) : Task.FromResult(true);
        Enqueue(1);
        await UntilAsync(() => _peer.Open == 1);
        var since = Now;
        await UntilAsync(() => _peer.Open == 0);
        Assert.InRange(Now - since, 1_000, 4_500);
        Assert.Equal(1, _log.State.Usage(since + 4_900).Single().Granted);
        never.SetResult();
    }

    [Theory]
    [InlineData("421 4.3.2 not now\r\n<hang up>", RouteTls.None)]
    [InlineData("220 peer.example ESMTP\r\n", RouteTls.Encrypt)]
    public async Task Another_address_of_a_server_that_was_reached_waits_until_it_has_seen_the_end_of_the_first_connection(string greeting, RouteTls tls)
    {
        _log.DefineConnections(LimitNames.ConnectionsPerDestination, 1);
        await using ScriptedPeer peer = new(System.Net.IPAddress.Any) { Greeting = greeting };
        await StartAsync(1, peer, "peer.example", tls, new TableDns("A peer.example 127.0.0.1", "A peer.example 127.0.0.2"));
        Enqueue(1);
        await UntilAsync(() => peer.AcceptedAt.Count >= 2);

        // Timers go by a coarser clock.
        Assert.True(TimeProvider.System.GetElapsedTime(peer.AcceptedAt[0], peer.AcceptedAt[1]) >= ConnectionSlot.UnseenTime - TimeSpan.FromMilliseconds(20));
    }

    private static long Now => TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Token);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        while (!condition())
        {
            await Task.Delay(10, limit.Token);
        }
    }

    private Task StartAsync(int nodes) => StartAsync(nodes, _peer, "127.0.0.1", RouteTls.May, new TableDns());

    private async Task StartAsync(int nodes, ScriptedPeer peer, string host, RouteTls tls, TableDns dns)
    {
        for (var i = 0; i < nodes; i++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"n{i + 1}");
            ModelQueue queue = new() { NodeId = name, Time = TimeProvider.System };
            var limits = _log.NodeOf(name);
            DeliveryService service = new(
                new DeliverySettings
                {
                    HostName = "us.example",
                    HelloName = "us.example",
                    OwnPorts = [2525],
                    Routes = new RouteTable(
                    [
                        new Route
                        {
                            Match = "*",
                            Transport = RouteTransport.Smtp,
                            Host = host,
                            Port = peer.Port,
                            Tls = tls,
                            ConnectionLimit = LimitNames.ConnectionsPerDestination,
                            DeliveryLimit = LimitNames.DeliveriesPerDestination,
                        },
                    ]),
                },
                queue, new DestinationLimits(limits), dns, TimeProvider.System, NullLoggerFactory.Instance, new Random(i));
            _queues.Add(queue);
            _running.Add(limits);
            _running.Add(service);
            await service.StartAsync(Token);
        }
    }

    private void Enqueue(int count)
    {
        foreach (var queue in _queues)
        {
            for (var i = 0; i < count; i++)
            {
                queue.Enqueue(Body, "a@us.example", string.Create(CultureInfo.InvariantCulture, $"b{i}@x.example"));
            }
        }
    }
}
