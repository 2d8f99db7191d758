using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Transport;

/// <summary>Who may not come in is told why, on both sides, once.</summary>
public sealed class RefusalTests
{
    [Fact]
    public async Task Nodes_with_a_token_in_common_are_connected()
    {
        await using var a = await TransportNode.StartAsync("a", TransportNode.Quick with { Tokens = ["old"] });
        await using var b = await TransportNode.StartAsync("b", TransportNode.Quick with { Tokens = ["new", "old"] });
        await using var c = await TransportNode.StartAsync("c", TransportNode.Quick with { Tokens = ["new"] });
        b.Transport.Dial([a.Address, c.Address]);
        a.Transport.Dial([b.Address]);
        c.Transport.Dial([b.Address]);

        await Task.WhenAll(b.UntilAsync("connected a/0"), b.UntilAsync("connected c/0"), a.UntilAsync("connected b/0"), c.UntilAsync("connected b/0"));
        Assert.Equal("x", await a.AskAsync("b", FrameType.Append, "x"));
    }

    [Fact]
    public Task A_wrong_token_is_refused() => RefusedAsync(
        TransportNode.Quick with { Tokens = ["right"] },
        TransportNode.Quick with { Tokens = ["wrong"] },
        RefusalReason.Token,
        "the token of a is not that of b (auth_token)");

    [Fact]
    public Task A_peer_without_authentication_is_refused() => RefusedAsync(
        TransportNode.Quick,
        TransportNode.Quick with { Tokens = ["right"] },
        RefusalReason.AuthenticationMismatch,
        "b authenticates (auth_enabled), a does not");

    [Fact]
    public Task A_peer_with_authentication_is_refused_where_there_is_none() => RefusedAsync(
        TransportNode.Quick with { Tokens = ["right"] },
        TransportNode.Quick,
        RefusalReason.AuthenticationMismatch,
        "a authenticates (auth_enabled), b does not");

    [Fact]
    public async Task A_node_of_another_cluster_is_refused()
    {
        var (first, second) = (Guid.NewGuid(), Guid.NewGuid());
        await using var a = await TransportNode.StartAsync("a", self: new NodeHello("a", 1, first, 1, ""));
        await using var b = await TransportNode.StartAsync("b", self: new NodeHello("b", 1, second, 1, ""));
        await RefusedAsync(a, b, RefusalReason.ForeignCluster, $"a belongs to cluster {first}, b to cluster {second}");

        // A node without a cluster may talk to any: it has to find out.
        await using var c = await TransportNode.StartAsync("c");
        c.Transport.Dial([a.Address]);
        await a.UntilAsync("connected c/0");
    }

    [Fact]
    public async Task A_node_that_membership_does_not_want_is_refused()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        b.Unwelcome["a"] = "incarnation 0 of a was removed";
        await RefusedAsync(a, b, RefusalReason.NotAdmitted, "incarnation 0 of a was removed");

        b.Unwelcome.Clear();
        await a.UntilAsync("connected b/0");
    }

    [Fact]
    public async Task A_second_node_of_the_same_name_is_refused_while_the_first_lives()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var first = await TransportNode.StartAsync("twin");
        await using var second = await TransportNode.StartAsync("twin");
        first.Transport.Dial([a.Address]);
        await a.UntilAsync("connected twin/0");

        await RefusedAsync(second, a, RefusalReason.DuplicateNodeId, "two nodes call themselves twin (node_id); the one at ");
        Assert.Equal(1, a.Count("connected twin"));
        Assert.Equal("x", await a.AskAsync("twin", FrameType.Append, "x"));

        await first.DisposeAsync();
        await a.UntilAsync("connected twin/0", times: 2);
    }

    [Fact]
    public async Task A_node_of_ones_own_name_is_refused()
    {
        await using var a = await TransportNode.StartAsync("a");
        await using var other = await TransportNode.StartAsync("a");
        await RefusedAsync(other, a, RefusalReason.DuplicateNodeId, "two nodes call themselves a (node_id)");
    }

    [Fact]
    public async Task A_restarted_node_takes_the_place_of_one_that_does_not_answer_any_more()
    {
        await using var a = await TransportNode.StartAsync("a", TransportNode.Quick with { ProbeTimeout = TimeSpan.FromMilliseconds(50) });
        using var frozen = await RawPeer.OpenAsync(a.Transport.EndPoint!, "b");
        await a.UntilAsync("connected b/0");

        await using var b = await TransportNode.StartAsync("b");
        b.Transport.Dial([a.Address]);
        await a.UntilAsync("connected b/0", times: 2);
        Assert.True(a.Events.ToList().IndexOf("disconnected b") < a.Events.ToList().LastIndexOf("connected b/0"));
        Assert.Equal("x", await a.AskAsync("b", FrameType.Append, "x"));
        await frozen.UntilClosedAsync();
    }

    [Fact]
    public async Task Another_version_of_the_protocol_is_refused()
    {
        await using var a = await TransportNode.StartAsync("a");
        using var later = await RawPeer.ConnectAsync(a.Transport.EndPoint!);
        await later.SendAsync(FrameCodec.Write(FrameType.Hello, [9, 8, 0, 0, .. new byte[100]]));

        var (type, body) = await later.ReceiveAsync(isAuthenticated: false);
        Assert.Equal((FrameType.Refuse, RefusalReason.Version), (type, (RefusalReason)body[0]));
        later.Dispose();
        await a.UntilAsync("it speaks versions 8 to 9 of the protocol, this node 1 to 1 (Version)");
        Assert.Equal(1, a.Transport.Counters.Refused(RefusalReason.Version));
    }

    [Fact]
    public async Task Whoever_does_not_speak_is_cut_off()
    {
        await using var a = await TransportNode.StartAsync("a", TransportNode.Quick with { HandshakeTimeout = TimeSpan.FromMilliseconds(200) });
        using var mute = await RawPeer.ConnectAsync(a.Transport.EndPoint!);
        using var slow = await RawPeer.ConnectAsync(a.Transport.EndPoint!);
        await slow.SendAsync(new byte[] { 16, 0, 0, 0, 200, 1, 1 });

        await Task.WhenAll(mute.UntilClosedAsync(), slow.UntilClosedAsync());
        await a.UntilAsync("its handshake took more than 0.2 s (TimedOut)");
    }

    [Fact]
    public async Task Only_so_many_may_be_strangers_at_once()
    {
        await using var a = await TransportNode.StartAsync("a", TransportNode.Quick with { UnauthenticatedMax = 3 });
        var mute = new List<RawPeer>();
        for (var i = 0; i < 3; i++)
        {
            mute.Add(await RawPeer.ConnectAsync(a.Transport.EndPoint!));
        }

        // The fourth is closed without a word, whichever of them was accepted fourth.
        mute.Add(await RawPeer.ConnectAsync(a.Transport.EndPoint!));
        await a.UntilAsync("too many connections wait for their handshake, or are open (TooMany)");
        await await Task.WhenAny(mute.Select(peer => peer.UntilClosedAsync()));
        mute.ForEach(peer => peer.Dispose());

        await using var b = await TransportNode.StartAsync("b");
        b.Transport.Dial([a.Address]);
        await a.UntilAsync("connected b/0");
    }

    [Fact]
    public async Task A_port_check_is_no_news()
    {
        await using var a = await TransportNode.StartAsync("a");
        for (var i = 0; i < 5; i++)
        {
            (await RawPeer.ConnectAsync(a.Transport.EndPoint!)).Dispose();
        }

        await a.UntilAsync("ended without a handshake", times: 5);
        Assert.Equal(5, a.Count("log Debug"));
        Assert.Equal(0, a.Count("log Warning"));
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\n\r\n", "what it sends is no handshake (UnknownType)")]
    [InlineData("\x01\0\0\0\x02{}", "what it sends is no handshake (OutOfPlace)")]
    [InlineData("\x10\0\0\x03\xfc", "what it sends is no handshake (TooLong)")]
    [InlineData("\x10\xff\xff\xff\xff", "what it sends is no handshake (TooLong)")]
    [InlineData("\x10\0\0\0\0", "its introduction is not one")]
    [InlineData("\x12\0\0\0\0", "a frame of type 18 has no place here")]
    public async Task A_stranger_who_sends_something_else_is_refused(string octets, string text)
    {
        await using var a = await TransportNode.StartAsync("a");
        using var stranger = await RawPeer.ConnectAsync(a.Transport.EndPoint!);
        await stranger.SendAsync(System.Text.Encoding.Latin1.GetBytes(octets));
        await stranger.UntilClosedAsync();

        await a.UntilAsync($"{text} (Malformed)");
        Assert.Equal(1, a.Transport.Counters.Refused(RefusalReason.Malformed));
        Assert.Equal(0, a.Count("connected"));
    }

    [Theory]
    [InlineData("\x06\0\0\0\0")]
    [InlineData("\x10\0\0\0\0")]
    [InlineData("\x14\0\0\0\0")]
    [InlineData("\x22\0\x10\0\x01")]
    [InlineData("\x22\0\0\0\x07" + "1234567")]
    [InlineData("\xff\0\0\0\0")]
    public async Task A_peer_that_sends_what_has_no_place_is_cut_off_and_counted(string octets)
    {
        await using var a = await TransportNode.StartAsync("a");
        using var peer = await RawPeer.OpenAsync(a.Transport.EndPoint!, "bad");
        await a.UntilAsync("connected bad/0");
        await peer.SendAsync(System.Text.Encoding.Latin1.GetBytes(octets));

        await a.UntilAsync("disconnected bad");
        Assert.Equal(1, a.Transport.Counters.Refused(RefusalReason.Malformed));
        await peer.UntilClosedAsync();
    }

    private static async Task RefusedAsync(PortOptions dialling, PortOptions listening, RefusalReason reason, string text)
    {
        await using var a = await TransportNode.StartAsync("a", dialling);
        await using var b = await TransportNode.StartAsync("b", listening);
        await RefusedAsync(a, b, reason, text);
    }

    private static async Task RefusedAsync(TransportNode dialling, TransportNode listening, RefusalReason reason, string text)
    {
        dialling.Transport.Dial([listening.Address]);
        await Task.WhenAll(dialling.UntilAsync(text), listening.UntilAsync(text));

        Assert.True(dialling.Transport.Counters.Refused(reason) >= 1);
        Assert.True(listening.Transport.Counters.Refused(reason) >= 1);
        Assert.Equal(0, dialling.Count($"connected {listening.Self.NodeId}"));

        // It is tried again and again, and said once.
        await listening.UntilRefusedAsync(reason, times: 3);

        Assert.Equal((1, 1), (dialling.Count("log Warning"), listening.Count("log Warning")));
        Assert.Equal((1, 1), (dialling.Count(text), listening.Count(text)));
    }
}
