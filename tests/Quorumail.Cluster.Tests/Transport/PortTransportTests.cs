using System.Net;
using System.Net.Sockets;
using System.Text;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Transport;

public sealed class PortTransportTests
{
    [Fact]
    public async Task Nodes_that_dial_one_another_talk_both_ways()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        a.Transport.Dial([a.Address, b.Address]);
        b.Transport.Dial([a.Address, b.Address]);
        await Task.WhenAll(a.UntilAsync("connected b/0"), b.UntilAsync("connected a/0"));

        Assert.True(a.Transport.TrySend("b", FrameType.Heartbeat, "{}"u8.ToArray()));
        await b.UntilAsync("Heartbeat from a: {}");
        Assert.Equal("question", await a.AskAsync("b", FrameType.Append, "question"));
        Assert.Equal("back", await b.AskAsync("a", FrameType.Propose, "back"));
        Assert.Equal("chunk", await a.AskAsync("b", FrameType.Snapshot, "chunk"));
        Assert.Equal("b", Assert.Single(a.Transport.Peers).NodeId);
        Assert.True(a.Transport.Counters.FramesSent(FrameType.Append) == 1 && a.Transport.Counters.FramesReceived(FrameType.Appended) == 1);
    }

    [Fact]
    public async Task A_node_that_is_dialled_and_dials_nobody_can_send_all_the_same()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        a.Transport.Dial([b.Address]);
        await b.UntilAsync("connected a/0");

        Assert.Equal("x", await b.AskAsync("a", FrameType.Append, "x"));
        Assert.Equal("y", await b.AskAsync("a", FrameType.Snapshot, "y"));
    }

    [Fact]
    public async Task Crossing_dials_leave_two_nodes_connected_once()
    {
        for (var round = 0; round < 10; round++)
        {
            await using var a = await TransportNode.StartAsync("a");
            await using var b = await TransportNode.StartAsync("b");
            await Task.WhenAll(
                Task.Run(() => a.Transport.Dial([b.Address]), TestContext.Current.CancellationToken),
                Task.Run(() => b.Transport.Dial([a.Address]), TestContext.Current.CancellationToken));
            await Task.WhenAll(a.UntilAsync("connected b/0"), b.UntilAsync("connected a/0"));
            for (var i = 0; i < 20; i++)
            {
                Assert.Equal("1", await a.AskAsync("b", FrameType.Append, "1"));
                Assert.Equal("2", await b.AskAsync("a", FrameType.Append, "2"));
            }

            Assert.Equal((1, 0), (a.Count("connected b/0"), a.Count("disconnected")));
            Assert.Equal((1, 0), (b.Count("connected a/0"), b.Count("disconnected")));
        }
    }

    [Fact]
    public async Task Ones_own_address_in_the_list_is_recognised_and_left_alone()
    {
        await using var a = await TransportNode.StartAsync("a");
        a.Transport.Dial([a.Address]);

        await a.UntilAsync($"{a.Address} is this node's own address");
        Assert.Equal(0, a.Count("connected"));
        Assert.Equal(0, a.Count("log Warning"));
        Assert.Equal(0, a.Transport.Counters.Refused(RefusalReason.DuplicateNodeId));
    }

    [Fact]
    public async Task Two_addresses_of_one_node_make_one_peer()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        a.Transport.Dial([b.Address, $"localhost:{b.Transport.EndPoint!.Port}"]);

        await a.UntilAsync("connected b/0");
        Assert.Equal("x", await a.AskAsync("b", FrameType.Append, "x"));
        Assert.Equal(0, a.Count("log Warning") + b.Count("log Warning"));
    }

    [Fact]
    public async Task A_peer_that_was_stopped_is_missed_at_once_and_found_again()
    {
        await using var a = await TransportNode.StartAsync("a");
        var b = await TransportNode.StartAsync("b");
        var address = b.Address;
        a.Transport.Dial([address]);
        await a.UntilAsync("connected b/0");

        await b.DisposeAsync();
        await a.UntilAsync("disconnected b");
        await a.UntilAsync("disconnected b refused");
        Assert.False(a.Transport.TrySend("b", FrameType.Heartbeat, default));
        await Assert.ThrowsAsync<PeerUnavailableException>(() => a.AskAsync("b", FrameType.Append, "x"));

        var port = PeerAddress.TryParse(address, out var parsed, out _) ? parsed!.Port : 0;
        await using var again = await TransportNode.StartAsync("b", TransportNode.Quick with { BindPort = port });
        await a.UntilAsync("connected b/0", times: 2);
        Assert.Equal("x", await a.AskAsync("b", FrameType.Append, "x"));
    }

    [Fact]
    public async Task A_question_ends_when_the_connection_does()
    {
        await using var a = await TransportNode.StartAsync("a");
        var b = await TransportNode.StartAsync("b");
        var asked = new TaskCompletionSource();
        b.Answer = async (_, _, token) =>
        {
            asked.SetResult();
            await Task.Delay(Timeout.Infinite, token);
            return default;
        };
        a.Transport.Dial([b.Address]);
        await a.UntilAsync("connected b/0");
        var question = a.AskAsync("b", FrameType.Append, "x");
        await asked.Task;

        await b.DisposeAsync();
        await Assert.ThrowsAsync<PeerUnavailableException>(() => question);
    }

    [Fact]
    public async Task A_question_that_can_not_be_answered_is_told_so_and_the_connection_stays()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        b.Answer = (type, body, _) => type == FrameType.Append ? throw new InvalidOperationException("planted") : ValueTask.FromResult<ReadOnlyMemory<byte>>(body.ToArray());
        a.Transport.Dial([b.Address]);
        await a.UntilAsync("connected b/0");

        await Assert.ThrowsAsync<PeerUnavailableException>(() => a.AskAsync("b", FrameType.Append, "x"));
        await b.UntilAsync("planted");
        Assert.Equal("y", await a.AskAsync("b", FrameType.Lead, "y"));
        Assert.Equal(0, a.Count("disconnected"));
    }

    [Fact]
    public async Task Many_questions_at_once_get_their_own_answers()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b", TransportNode.Quick with { QuestionsMax = 10 });
        b.Answer = async (_, body, _) =>
        {
            await Task.Yield();
            return body.ToArray();
        };
        a.Transport.Dial([b.Address]);
        await a.UntilAsync("connected b/0");

        var questions = Enumerable.Range(0, 500).Select(i => i + new string('x', i * 37)).ToList();
        var answers = await Task.WhenAll(questions.Select(question => a.AskAsync("b", FrameType.Append, question)));
        Assert.Equal(questions, answers);
    }

    [Fact]
    public async Task The_largest_frame_arrives_whole_and_a_larger_one_is_not_sent()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        a.Transport.Dial([b.Address]);
        await a.UntilAsync("connected b/0");

        var largest = new byte[FrameLimits.PayloadMax];
        new Random(1).NextBytes(largest);
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => a.Transport.AskAsync("b", FrameType.Append, largest, TestContext.Current.CancellationToken)));
        Assert.All(answers, answer => Assert.True(answer.Span.SequenceEqual(largest)));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => a.Transport.AskAsync("b", FrameType.Append, new byte[FrameLimits.PayloadMax + 1], TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task What_is_large_does_not_delay_what_is_small()
    {
        var release = new TaskCompletionSource<ReadOnlyMemory<byte>>();
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b", TransportNode.Quick with { QuestionsMax = 1 });
        b.Answer = (type, body, _) => type == FrameType.Snapshot ? new ValueTask<ReadOnlyMemory<byte>>(release.Task) : ValueTask.FromResult<ReadOnlyMemory<byte>>(body.ToArray());
        a.Transport.Dial([b.Address]);
        await a.UntilAsync("connected b/0");

        // Nobody takes the parts of the snapshot: they fill the connection, its buffer, and wait.
        var part = new byte[FrameLimits.PayloadMax];
        var parts = Enumerable.Range(0, 40).Select(_ => a.Transport.AskAsync("b", FrameType.Snapshot, part, TestContext.Current.CancellationToken)).ToList();
        Assert.Equal("small", await a.AskAsync("b", FrameType.Append, "small"));
        Assert.All(parts, task => Assert.False(task.IsCompleted));

        release.SetResult(default);
        await Task.WhenAll(parts);
    }

    [Fact]
    public async Task A_peer_that_does_not_read_gets_no_more_than_the_buffer()
    {
        await using var a = await TransportNode.StartAsync("a", TransportNode.Quick with { SendBuffer = FrameLimits.HeaderSize + FrameLimits.BodyMax });
        using var deaf = await RawPeer.OpenAsync(a.Transport.EndPoint!, "deaf");
        await a.UntilAsync("connected deaf/0");

        var body = new byte[100_000];
        var sent = 0;
        while (a.Transport.TrySend("deaf", FrameType.StateUpdate, body))
        {
            Assert.True(++sent < 10_000);
        }

        Assert.True(sent >= 10);
        deaf.Dispose();
        await a.UntilAsync("disconnected deaf");
    }

    [Fact]
    public async Task A_silent_peer_does_not_hold_its_connection()
    {
        await using var a = await TransportNode.StartAsync("a", TransportNode.Quick with { SilenceMax = TimeSpan.FromMilliseconds(300) });
        using var silent = await RawPeer.OpenAsync(a.Transport.EndPoint!, "silent");

        await a.UntilAsync("silent is not connected any more: nothing has come from it for 0.3 s");
        await silent.UntilClosedAsync();
    }

    [Fact]
    public async Task The_round_trip_is_measured()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        a.Transport.Dial([b.Address]);
        await a.UntilAsync("connected b/0");

        // The first question whether b is there went out when the connection was opened, before this one.
        await a.AskAsync("b", FrameType.Append, "x");
        Assert.InRange(a.Transport.RoundTrip("b")!.Value, TimeSpan.Zero, TimeSpan.FromSeconds(10));
        Assert.Null(a.Transport.RoundTrip("c"));
    }

    [Fact]
    public async Task What_a_node_says_anew_of_itself_reaches_its_peers()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        a.Transport.Dial([b.Address]);
        b.Transport.Dial([a.Address]);
        await Task.WhenAll(a.UntilAsync("connected b/0"), b.UntilAsync("connected a/0"));

        b.Transport.Introduce(b.Self with { Incarnation = 7, ClusterId = Guid.NewGuid() });
        await a.UntilAsync("connected b/7");
        Assert.Equal("x", await a.AskAsync("b", FrameType.Append, "x"));
        Assert.Equal(7, Assert.Single(a.Transport.Peers).Incarnation);
    }

    [Fact]
    public async Task IPv6_works()
    {
        Assert.SkipUnless(Socket.OSSupportsIPv6, "this machine has no IPv6");
        await using var a = await TransportNode.StartAsync("a", TransportNode.Quick with { BindAddress = IPAddress.IPv6Loopback });
        await using var b = await TransportNode.StartAsync("b", TransportNode.Quick with { BindAddress = IPAddress.IPv6Any });
        a.Transport.Dial([$"[::1]:{b.Transport.EndPoint!.Port}"]);
        b.Transport.Dial([a.Address]);

        await Task.WhenAll(a.UntilAsync("connected b/0"), b.UntilAsync("connected a/0"));
        Assert.StartsWith("[::1]:", a.Address, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_name_that_appears_late_is_found_and_named_once_before()
    {
        await using var b = await TransportNode.StartAsync("b");
        var asked = 0;
        var options = TransportNode.Quick with
        {
            Resolve = (name, _) => ++asked < 5
                ? throw new SocketException((int)SocketError.HostNotFound)
                : Task.FromResult<IPAddress[]>([IPAddress.Loopback]),
        };
        await using var a = await TransportNode.StartAsync("a", options);
        a.Transport.Dial([$"node-b.test:{b.Transport.EndPoint!.Port}", "bad:x"]);

        await a.UntilAsync("connected b/0");
        Assert.Equal(1, a.Count("the name node-b.test can't be resolved"));
        Assert.Equal(1, a.Count("peer \"bad:x\": its port \"x\" is not a number from 1 to 65535"));
    }

    [Fact]
    public async Task A_name_that_moves_is_followed()
    {
        var where = IPAddress.Parse("127.0.0.2");
        await using var first = await TransportNode.StartAsync("b", TransportNode.Quick with { BindAddress = where });
        var port = first.Transport.EndPoint!.Port;
        await using var a = await TransportNode.StartAsync("a", TransportNode.Quick with { Resolve = (_, _) => Task.FromResult<IPAddress[]>([where]) });
        a.Transport.Dial([$"b.test:{port}"]);
        await a.UntilAsync("connected b/0");

        where = IPAddress.Parse("127.0.0.3");
        await using var second = await TransportNode.StartAsync("b", TransportNode.Quick with { BindAddress = where, BindPort = port });
        await first.DisposeAsync();
        await a.UntilAsync("connected b/0", times: 2);
        Assert.Equal("x", await a.AskAsync("b", FrameType.Append, "x"));
    }

    [Fact]
    public async Task A_taken_port_is_said_at_the_start()
    {
        await using var a = await TransportNode.StartAsync("a");

        var failure = await Assert.ThrowsAsync<IOException>(() => TransportNode.StartAsync("b", TransportNode.Quick with { BindPort = a.Transport.EndPoint!.Port }));
        Assert.Contains($"the cluster port {a.Address} can't be used", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Frames_of_one_connection_come_in_their_order()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        a.Transport.Dial([b.Address]);
        await Task.WhenAll(a.UntilAsync("connected b/0"), b.UntilAsync("connected a/0"));

        for (var i = 0; i < 1000; i++)
        {
            Assert.True(a.Transport.TrySend("b", FrameType.StateUpdate, Encoding.UTF8.GetBytes($"{i:D4}")));
        }

        await b.UntilAsync("StateUpdate from a: 0999");
        var received = b.Events.Where(line => line.StartsWith("StateUpdate", StringComparison.Ordinal)).ToList();
        Assert.Equal(received.Order(StringComparer.Ordinal), received);
        Assert.Equal(1000, received.Count);
    }
}
