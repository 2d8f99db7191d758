using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quorumail.Core.Delivery;
using Quorumail.Core.Delivery.Client;
using Quorumail.Core.Mail;
using Quorumail.Server.Delivery;
using Quorumail.Server.Delivery.Dns;
using Quorumail.Server.Delivery.Transport;

namespace Quorumail.Server.Tests.Delivery;

public sealed class SmtpConnectionTests : IAsyncDisposable
{
    private readonly ScriptedPeer _peer = new();

    public ValueTask DisposeAsync() => _peer.DisposeAsync();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private NextHop Hop(RouteTls tls = RouteTls.May, RouteTransport transport = RouteTransport.Smtp, string? user = null) => new(
        new Route { Match = "*", Transport = transport, Host = "localhost", Port = _peer.Port, Tls = tls, UserName = user, Password = "secret" }, "");

    private Task<ConnectResult> Connect(
        NextHop hop, SmtpClientLimits? limits = null, X509Certificate2? root = null, CancellationTokenSource? stop = null) =>
        new SmtpConnector(
            "us.example", new TargetPolicy("us.example", [25]), limits ?? SmtpClientLimits.Default, TimeProvider.System, NullLogger<SmtpConnector>.Instance)
        {
            TrustedRoots = root is null ? null : [root],
        }.ConnectAsync(hop, new DeliveryTarget("localhost", new IPEndPoint(IPAddress.Loopback, _peer.Port)), null, stop?.Token ?? Token);

    private static Task<ConnectResult> Connect(NextHop hop, DeliveryTarget target) =>
        new SmtpConnector(
            "us.example", new TargetPolicy("us.example", [25]), SmtpClientLimits.Default, TimeProvider.System, NullLogger<SmtpConnector>.Instance)
            .ConnectAsync(hop, target, null, Token);

    private static ClientTransaction Mail(params string[] to) =>
        new("a@us.example", [.. (to.Length > 0 ? to : ["b@x.example"]).Select(t => new EnvelopeRecipient(t))], 10, BodyTraits.None);

    private static Task<bool> Yes() => Task.FromResult(true);

    private static async Task<RecipientReply[]> Send(SmtpConnection connection, string body = "x\r\n", Func<Task<bool>>? permission = null, params string[] to)
    {
        using var content = new MemoryContent(Encoding.Latin1.GetBytes(body));
        await connection.SendAsync(Mail(to), content, permission ?? Yes);
        return connection.Session.Results.ToArray();
    }

    [Theory]
    [InlineData(Cutting.Whole)]
    [InlineData(Cutting.ByLine)]
    [InlineData(Cutting.ByByte)]
    public async Task Messages_arrive_as_they_are_however_replies_are_cut(Cutting cutting)
    {
        _peer.Cutting = cutting;
        var (connection, _) = await Connect(Hop());
        await using var _1 = connection;
        var large = string.Concat(Enumerable.Repeat(".line that begins with a dot\r\n..\r\n.\r\n\r\n", 20_000));
        Assert.Equal(RecipientVerdict.Delivered, (await Send(connection!, "one\r\n"))[0].Verdict);
        Assert.Equal(RecipientVerdict.Delivered, (await Send(connection!, large))[0].Verdict);
        Assert.Equal(["one\r\n", large], _peer.Messages);
        Assert.Equal(1, _peer.Connections);
    }

    [Fact]
    public async Task No_permission_no_dot()
    {
        var (connection, _) = await Connect(Hop());
        await using var _1 = connection;
        var results = await Send(connection!, permission: () => Task.FromResult(false));
        Assert.Equal(RecipientVerdict.Unanswered, results[0].Verdict);
        Assert.Equal(ClientStep.Close, connection!.Session.Step);
        await connection.DisposeAsync();
        Assert.Empty(_peer.Messages);
    }

    [Theory]
    [InlineData("MAIL", RecipientVerdict.Unanswered)]
    [InlineData("RCPT", RecipientVerdict.Unanswered)]
    [InlineData("DATA", RecipientVerdict.Unanswered)]
    [InlineData("dot", RecipientVerdict.InDoubt)]
    public async Task A_connection_that_breaks_off_leaves_a_doubt_only_after_the_dot(string where, RecipientVerdict verdict)
    {
        _peer.Script = line => line.StartsWith(where, StringComparison.Ordinal) ? ScriptedPeer.HangUp : null;
        _peer.AfterDot = _ => where == "dot" ? ScriptedPeer.HangUp : "250 ok\r\n";
        var (connection, _) = await Connect(Hop());
        await using var _1 = connection;
        Assert.Equal(verdict, (await Send(connection!))[0].Verdict);
        Assert.Equal(ClientStep.Close, connection!.Session.Step);
    }

    [Fact]
    public async Task A_peer_that_falls_silent_is_given_up_in_time()
    {
        _peer.Script = line => line == "DATA" ? "" : null;
        var limits = SmtpClientLimits.Default with { DataTimeout = TimeSpan.FromMilliseconds(200), RecipientTimeout = TimeSpan.FromMilliseconds(200) };
        var (connection, _) = await Connect(Hop(), limits);
        await using var _1 = connection;
        var results = await Send(connection!);
        Assert.Equal(RecipientVerdict.Unanswered, results[0].Verdict);
        Assert.Contains("timed out", results[0].Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, 4)]
    [InlineData(true, 9)]
    public async Task A_time_out_runs_for_each_reply_however_many_a_stage_has(bool isLmtp, int minutes)
    {
        // The next hop takes nearly as long as it may for each reply: 4 of 5 minutes for RCPT, 9 of 10 after the dot.
        var time = new FakeTimeProvider();
        var rcpt = string.Concat(Enumerable.Repeat("250 ok\r\n|", 100));
        await using var stream = new SlowStream(
            time, ("220 mx|250-mx\r\n250 PIPELINING|250 ok|" + rcpt + "354 go|" + (isLmtp ? rcpt : "250 ok")).Split('|', StringSplitOptions.RemoveEmptyEntries));
        var session = new SmtpClientSession(new SmtpClientOptions { HelloName = "us.example", IsLmtp = isLmtp }, SmtpClientLimits.Default);
        await using var connection = new SmtpConnection(
            stream, null, new DeliveryTarget("mx", new IPEndPoint(IPAddress.Loopback, 25)), session, SmtpClientLimits.Default, time, Token);
        await connection.OpenAsync(new());
        stream.Delay = stage => stage switch
        {
            ClientStage.Recipient => TimeSpan.FromMinutes(4),
            ClientStage.FinalDot => TimeSpan.FromMinutes(minutes),
            _ => TimeSpan.Zero,
        };
        stream.Stage = () => session.Stage;
        var results = await Send(connection, to: [.. Enumerable.Range(0, 100).Select(i => $"b{i}@x.example")]);
        Assert.All(results, result => Assert.Equal(RecipientVerdict.Delivered, result.Verdict));
    }

    [Fact]
    public async Task A_stop_ends_what_is_under_way()
    {
        using var stop = new CancellationTokenSource();
        _peer.AfterDot = _ =>
        {
            stop.Cancel();
            return "";
        };
        var (connection, _) = await Connect(Hop(), stop: stop);
        await using var _1 = connection;
        Assert.Equal(RecipientVerdict.InDoubt, (await Send(connection!))[0].Verdict);
    }

    [Theory]
    [InlineData("421 4.3.2 busy\r\n" + ScriptedPeer.HangUp, false)]
    [InlineData("554 5.3.2 no mail here\r\n" + ScriptedPeer.HangUp, true)]
    [InlineData(ScriptedPeer.HangUp, false)]
    public async Task A_greeting_that_refuses_is_a_failure_of_the_connection(string greeting, bool permanent)
    {
        _peer.Greeting = greeting;
        var (connection, failure) = await Connect(Hop());
        Assert.Null(connection);
        Assert.Equal(permanent, failure!.IsPermanent);
    }

    [Fact]
    public async Task A_reply_of_endless_lines_is_given_up()
    {
        _peer.Ehlo = string.Concat(Enumerable.Repeat("250-x\r\n", 1000)) + "250 x\r\n";
        var (connection, failure) = await Connect(Hop());
        Assert.Null(connection);
        Assert.Equal("4.5.0", failure!.EnhancedCode);
    }

    [Fact]
    public async Task A_line_of_megabytes_is_given_up()
    {
        _peer.Greeting = "220 " + new string('x', 1 << 20);
        var (connection, failure) = await Connect(Hop());
        Assert.Null(connection);
        Assert.Equal("4.5.0", failure!.EnhancedCode);
    }

    [Fact]
    public async Task STARTTLS_that_is_stripped_defers_where_TLS_is_asked_for_and_not_where_it_is_optional()
    {
        foreach (var tls in new[] { RouteTls.Encrypt, RouteTls.Verify })
        {
            var (none, failure) = await Connect(Hop(tls));
            Assert.Null(none);
            Assert.Equal("4.7.4", failure!.EnhancedCode);
        }

        var (connection, _) = await Connect(Hop(RouteTls.May));
        await using var _1 = connection;
        Assert.NotNull(connection);
        Assert.DoesNotContain(_peer.TakeLines(), line => line.StartsWith("MAIL", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_is_injected_behind_STARTTLS_is_thrown_away()
    {
        using var certificate = ScriptedPeer.NewCertificate("localhost");
        _peer.Certificate = certificate;
        _peer.Ehlo = "250-peer\r\n250-STARTTLS\r\n250 PIPELINING\r\n";
        _peer.Injection = "250-evil\r\n250 AUTH PLAIN\r\n250 2.0.0 injected\r\n";
        var (connection, _) = await Connect(Hop(RouteTls.Encrypt));
        await using var _1 = connection;
        Assert.True(connection!.Session.IsSecure);
        Assert.Empty(connection.Session.Capabilities.AuthMechanisms);
        var reply = (await Send(connection))[0];
        Assert.Equal("250 2.0.0 taken", reply.Text);
    }

    [Fact]
    public async Task A_certificate_is_verified_where_that_is_asked_for()
    {
        using var right = ScriptedPeer.NewCertificate("localhost");
        using var wrong = ScriptedPeer.NewCertificate("other.example");
        _peer.Ehlo = "250-peer\r\n250 STARTTLS\r\n";

        _peer.Certificate = right;
        var (trusted, _) = await Connect(Hop(RouteTls.Verify), root: right);
        await using var _1 = trusted;
        Assert.NotNull(trusted);
        Assert.Equal("4.7.5", (await Connect(Hop(RouteTls.Verify))).Failure!.EnhancedCode);

        _peer.Certificate = wrong;
        Assert.Equal("4.7.5", (await Connect(Hop(RouteTls.Verify), root: wrong)).Failure!.EnhancedCode);
        var (unverified, _) = await Connect(Hop(RouteTls.Encrypt));
        await using var _2 = unverified;
        Assert.NotNull(unverified);
    }

    [Fact]
    public async Task A_failed_handshake_is_followed_by_plain_text_only_where_TLS_is_optional()
    {
        _peer.Ehlo = "250-peer\r\n250 STARTTLS\r\n";
        _peer.Script = line => line == "STARTTLS" ? "220 go\r\nno tls here" + ScriptedPeer.HangUp : null;
        Assert.Equal(ClientStage.TlsHandshake, (await Connect(Hop(RouteTls.Encrypt))).Failure!.Stage);
        var (connection, _) = await Connect(Hop(RouteTls.May));
        await using var _1 = connection;
        Assert.False(connection!.Session.IsSecure);
        Assert.Equal(RecipientVerdict.Delivered, (await Send(connection))[0].Verdict);
    }

    [Fact]
    public async Task An_address_of_a_kind_that_the_system_lacks_is_a_failure_of_this_address()
    {
        var (connection, failure) = await Connect(Hop(), new DeliveryTarget("localhost", new UnknownEndPoint(_peer.Port)));
        Assert.Null(connection);
        Assert.Equal((ClientStage.Connect, "4.4.1", false), (failure!.Stage, failure.EnhancedCode, failure.IsPermanent));
    }

    [Fact]
    public async Task A_name_that_TLS_can_not_carry_is_a_failed_handshake_and_leaves_no_connection_open()
    {
        using var certificate = ScriptedPeer.NewCertificate("localhost");
        _peer.Certificate = certificate;
        _peer.Ehlo = "250-peer\r\n250 STARTTLS\r\n";
        var target = new DeliveryTarget("a..b c", new IPEndPoint(IPAddress.Loopback, _peer.Port));
        var (none, failure) = await Connect(Hop(RouteTls.Encrypt), target);
        Assert.Null(none);
        Assert.Equal((ClientStage.TlsHandshake, "4.7.5"), (failure!.Stage, failure.EnhancedCode));
        Assert.True(SpinWait.SpinUntil(() => _peer.Open == 0, TimeSpan.FromSeconds(20)));
        var (plain, _) = await Connect(Hop(RouteTls.May), target);
        await using var _1 = plain;
        Assert.False(plain!.Session.IsSecure);

        // The peer must be done with its certificate before that is disposed of.
        Assert.True(SpinWait.SpinUntil(() => _peer.Open == 1, TimeSpan.FromSeconds(20)));
    }

    [Fact]
    public async Task A_connection_by_MX_to_this_machine_is_closed_though_the_DNS_said_otherwise()
    {
        var hop = new NextHop(new Route { Match = "*", Transport = RouteTransport.Mx, Port = _peer.Port }, "x.example");
        var (connection, failure) = await Connect(hop);
        Assert.Null(connection);
        Assert.Equal("5.4.6", failure!.EnhancedCode);
        Assert.Empty(_peer.TakeLines());
    }

    [Fact]
    public async Task A_pool_gives_back_what_can_be_used_and_closes_what_cannot()
    {
        await using var pool = new ConnectionPool(TimeProvider.System);
        var hop = Hop();
        Assert.Null(pool.TryTake(hop));
        var (connection, _) = await Connect(hop);
        await Send(connection!);
        pool.Return(hop, connection!);
        Assert.Null(pool.TryTake(hop with { Domain = "other" }));
        var again = pool.TryTake(hop);
        Assert.Same(connection, again);
        Assert.Equal((0, 0), (pool.IdleCount, pool.NextHopCount));

        _peer.AfterDot = _ => "250 ok\r\n421 4.4.2 bye\r\n" + ScriptedPeer.HangUp;
        await Send(again!);
        pool.Return(hop, again!);
        Assert.Null(pool.TryTake(hop));
    }

    [Fact]
    public async Task An_idle_connection_that_the_peer_has_closed_is_not_used_again()
    {
        await using var pool = new ConnectionPool(TimeProvider.System);
        _peer.AfterDot = _ => "250 ok\r\n" + ScriptedPeer.HangUp;
        var (connection, _) = await Connect(Hop());
        await Send(connection!);
        SpinWait.SpinUntil(() => !connection!.IsReusable, TimeSpan.FromSeconds(10));
        pool.Return(Hop(), connection!);
        Assert.Null(pool.TryTake(Hop()));
    }

    /// <summary>A next hop that lets time pass before each of its replies, one a read.</summary>
    private sealed class SlowStream(FakeTimeProvider time, string[] replies) : Stream
    {
        private int _next;

        public Func<ClientStage> Stage { get; set; } = static () => ClientStage.Greeting;

        public Func<ClientStage, TimeSpan> Delay { get; set; } = static _ => TimeSpan.Zero;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            time.Advance(Delay(Stage()));
            cancellationToken.ThrowIfCancellationRequested();
            return ValueTask.FromResult(_next < replies.Length ? Encoding.ASCII.GetBytes(replies[_next++].TrimEnd() + "\r\n", buffer.Span) : 0);
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

        public override void Flush() => throw new NotSupportedException();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }

    private sealed class UnknownEndPoint(int port) : IPEndPoint(IPAddress.Loopback, port)
    {
        public override System.Net.Sockets.AddressFamily AddressFamily => System.Net.Sockets.AddressFamily.Banyan;
    }
}
