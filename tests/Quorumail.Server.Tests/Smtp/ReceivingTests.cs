using System.Net;
using System.Net.Sockets;
using System.Text;
using Quorumail.Cluster.Log;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Core.Smtp;
using Quorumail.Server.Configuration;
using Quorumail.Server.Limits;
using Quorumail.Server.Queue;
using Quorumail.Server.Smtp;
using Quorumail.Server.Tests.Queue;

namespace Quorumail.Server.Tests.Smtp;

public sealed class ReceivingTests
{
    private static int LengthOfLastRecord(List<byte> octets)
    {
        var length = 0;
        for (var at = 0; at < octets.Count; at += 5 + length)
        {
            length = (octets[at + 3] << 8) | octets[at + 4];
        }

        return length;
    }

    /// <summary>A ClientHello that offers TLS 1.0 (1) or 1.1 (2) and nothing newer.</summary>
    private static byte[] ClientHello(byte minor)
    {
        byte[] hello = [3, minor, .. new byte[32], 0, 0, 4, 0xC0, 0x09, 0xC0, 0x0A, 1, 0];
        byte[] message = [1, 0, 0, (byte)hello.Length, .. hello];
        return [22, 3, 1, 0, (byte)message.Length, .. message];
    }

    private static string Base64(string text) => Convert.ToBase64String(Encoding.ASCII.GetBytes(text));

    [Fact]
    public async Task A_message_is_stored_and_queued_before_250()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await server.ConnectAsync();
        Assert.Equal("220 mx.test ESMTP Quorumail", await client.ReplyAsync());
        await client.AskAsync("EHLO client.test");
        var reply = await client.SendMessageAsync("Subject: x\r\n\r\n..dot");
        var command = Assert.Single(server.Queue.Enqueued);
        Assert.Equal($"250 2.0.0 queued as {command.Id}", reply);
        var body = await server.ReadBodyAsync(command.Id);
        Assert.Equal(command.Size, body.Length);
        Assert.Equal(
            $"Received: from client.test ([127.0.0.1])\r\n\tby mx.test with ESMTP id {command.Id}\r\n\tfor <joe@here.test>;\r\n"
            + "\tMon, 23 Nov 2026 01:02:03 +0000\r\nSubject: x\r\n\r\n.dot\r\n",
            Encoding.ASCII.GetString(body));
        Assert.StartsWith("221", await client.AskAsync("QUIT"), StringComparison.Ordinal);
        Assert.Equal(string.Empty, await client.ReplyAsync());
    }

    [Fact]
    public async Task Large_messages_stream_by_DATA_and_BDAT()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        var text = "x: y\r\n\r\n" + string.Concat(Enumerable.Repeat(new string('z', 70) + "\r\n", 50_000));
        Assert.StartsWith("250", await client.SendMessageAsync(text[..^2]), StringComparison.Ordinal);
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.SendAsync($"BDAT {text.Length} LAST\r\n{text}");
        Assert.StartsWith("250 2.0.0 queued", await client.ReplyAsync(), StringComparison.Ordinal);
        foreach (var command in server.Queue.Enqueued)
        {
            Assert.EndsWith(text, Encoding.ASCII.GetString(await server.ReadBodyAsync(command.Id)), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_disk_that_becomes_nearly_full_refuses_a_large_message_under_way_at_its_end()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        var part = string.Concat(Enumerable.Repeat(new string('z', 70) + "\r\n", 5_000));
        await client.SendAsync(part);
        server.Health.SetShortage("nearly full");
        await client.SendAsync(part + ".\r\n");
        Assert.Equal("452 4.3.1 Insufficient system storage", await client.ReplyAsync());
        Assert.StartsWith("452 4.3.1", await client.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        Assert.Empty(server.Queue.Enqueued);
        Assert.Empty(server.Bodies.Ids());
        server.Health.SetShortage(null);
        Assert.StartsWith("250", await client.SendMessageAsync("x: y\r\n\r\n" + part[..^2]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Replies_to_pipelined_commands_come_in_order()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        await client.SendAsync("MAIL FROM:<a@b.test>\r\nRCPT TO:<nobody@here.test>\r\nRCPT TO:<x@foreign.test>\r\nRCPT TO:<team@here.test>\r\nDATA\r\n");
        Assert.StartsWith("250 2.1.0", await client.ReplyAsync(), StringComparison.Ordinal);
        Assert.StartsWith("550 5.1.1", await client.ReplyAsync(), StringComparison.Ordinal);
        Assert.StartsWith("550 5.7.1", await client.ReplyAsync(), StringComparison.Ordinal);
        Assert.StartsWith("250 2.1.5", await client.ReplyAsync(), StringComparison.Ordinal);
        Assert.StartsWith("354", await client.ReplyAsync(), StringComparison.Ordinal);
        await client.SendAsync("x: y\r\n.\r\nMAIL FROM:<c@d.test>\r\nRSET\r\n");
        Assert.StartsWith("250 2.0.0 queued", await client.ReplyAsync(), StringComparison.Ordinal);
        Assert.StartsWith("250 2.1.0", await client.ReplyAsync(), StringComparison.Ordinal);
        Assert.StartsWith("250 2.0.0", await client.ReplyAsync(), StringComparison.Ordinal);
        var addresses = Assert.Single(server.Queue.Enqueued).Envelope.Recipients.Select(recipient => recipient.Address);
        Assert.Equal(["joe@here.test", "ann@elsewhere.test"], addresses);
    }

    [Fact]
    public async Task An_outcome_that_stays_unknown_is_answered_451()
    {
        await using var server = await SmtpTestServer.StartAsync();
        var isProposed = new TaskCompletionSource();
        server.Queue.Decide = async (command, token) =>
        {
            var never = new TaskCompletionSource();
            isProposed.SetResult();
            await never.Task.WaitAsync(token);
            return default;
        };
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        var sending = client.SendMessageAsync("x: y");
        await isProposed.Task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        server.Time.Advance(TimeSpan.FromSeconds(12));
        Assert.StartsWith("451 4.3.2", await sending, StringComparison.Ordinal);
        Assert.StartsWith("250", await client.AskAsync("RSET"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_message_that_a_failed_disk_leaves_open_is_answered_neither_250_nor_451()
    {
        await using var server = await SmtpTestServer.StartAsync();
        server.Queue.Decide = static (_, _) => ValueTask.FromResult(new QueueProposal(ProposalOutcome.Unknown, default) { IsLeftOpen = true });
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        Assert.Equal("", await client.SendMessageAsync("x: y"));
    }

    [Fact]
    public async Task A_failed_disk_is_not_called_a_full_one()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");

        server.Health.Fail(new IOException("fsync failed"));

        Assert.StartsWith("451 4.3.0", await client.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_250_that_the_client_did_not_wait_for_is_reported()
    {
        await using var server = await SmtpTestServer.StartAsync();
        var reported = new TaskCompletionSource<QueueId>();
        var mayCommit = new TaskCompletionSource();
        using (var client = await SendUncommittedAsync(server, mayCommit.Task, reported.SetResult))
        {
            client.Socket.LingerState = new LingerOption(true, 0);
        }

        // The reset is seen by the transport, which then ends both pipes.
        mayCommit.SetResult();
        var id = await reported.Task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.Equal(Assert.Single(server.Queue.Enqueued).Id, id);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_250_to_a_client_that_says_nothing_more_is_reported_unless_its_system_took_it(bool reads)
    {
        await using var server = await SmtpTestServer.StartAsync();
        List<QueueId> reported = [];
        var mayCommit = new TaskCompletionSource();
        using (var client = await SendUncommittedAsync(server, mayCommit.Task, reported.Add))
        {
            if (reads)
            {
                // The end of what it says is there before its 250, which it waits for all the same.
                client.Socket.Shutdown(SocketShutdown.Send);
                mayCommit.SetResult();
                Assert.StartsWith("250", await client.ReplyAsync(), StringComparison.Ordinal);
            }
        }

        mayCommit.TrySetResult();
        await MailQueueTests.UntilAsync(() => server.Services.Connections.Count == 0);
        Assert.Equal(reads ? [] : server.Queue.Enqueued.Select(command => command.Id), reported);
    }

    [Fact]
    public async Task A_250_is_not_reported_of_a_client_that_hangs_up_when_it_is_told_to_go()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        Assert.StartsWith("250", await client.SendMessageAsync("x: y"), StringComparison.Ordinal);
        var draining = server.Services.Connections.DrainAsync(CancellationToken.None);
        Assert.StartsWith("421", await server.AdvanceUntilAsync(client.ReplyAsync(), TimeSpan.FromMilliseconds(100)), StringComparison.Ordinal);
        client.Dispose();
        await draining.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);

        // A connection has made its reports when it is gone.
        Assert.IsType<EnqueueCommand>(Assert.Single(server.Queue.Proposed));
    }

    [Fact]
    public async Task Mail_is_refused_when_the_queue_has_not_been_ready_for_five_seconds()
    {
        await using var server = await SmtpTestServer.StartAsync();
        server.Queue.IsReady = false;
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        await client.AskAsync("RSET");
        server.Time.Advance(TimeSpan.FromSeconds(5));
        Assert.StartsWith("421 4.3.2", await client.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        using var late = await server.ConnectAsync();
        Assert.StartsWith("421 4.3.2", await late.ReplyAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_idle_client_is_told_421_and_closed()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.SendAsync("NOO");
        var reply = await server.AdvanceUntilAsync(client.ReplyAsync(), TimeSpan.FromMinutes(5.1));
        Assert.StartsWith("421 4.4.2", reply, StringComparison.Ordinal);

        // It has a moment to read that, whatever it was just sending.
        await client.SendAsync("P\r\n");
        Assert.Equal(string.Empty, await server.AdvanceUntilAsync(client.ReplyAsync(), TimeSpan.FromSeconds(1.1)));
    }

    [Fact]
    public async Task Data_that_trickles_is_ended()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        await client.SendAsync("x: y\r\n");
        var reply = await server.AdvanceUntilAsync(client.ReplyAsync(), TimeSpan.FromSeconds(70));
        Assert.Equal("421 4.4.2 Data arrives too slowly", reply);
    }

    [Fact]
    public async Task Draining_closes_idle_sessions_and_lets_a_transaction_end()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var idle = await server.ConnectAsync();
        await idle.ReplyAsync();
        await idle.AskAsync("NOOP");
        using var busy = await server.ConnectAsync();
        await busy.ReplyAsync();
        await busy.AskAsync("EHLO client.test");
        await busy.AskAsync("MAIL FROM:<>");
        await busy.AskAsync("RCPT TO:<joe@here.test>");
        var draining = server.Services.Connections.DrainAsync(CancellationToken.None);
        Assert.StartsWith("421 4.3.2", await server.AdvanceUntilAsync(idle.ReplyAsync(), TimeSpan.FromSeconds(1)), StringComparison.Ordinal);
        idle.Dispose();
        await busy.AskAsync("DATA");
        Assert.StartsWith("250", await busy.AskAsync("x: y\r\n."), StringComparison.Ordinal);
        Assert.StartsWith("421 4.3.2", await busy.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        using var late = await server.ConnectAsync();
        Assert.StartsWith("421 4.3.2", await late.ReplyAsync(), StringComparison.Ordinal);
        await draining.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_client_that_still_sends_a_message_far_too_large_reads_why_the_connection_ends()
    {
        await using var server = await SmtpTestServer.StartAsync(limits: new SmtpLimits { MessageSizeMax = 100_000 });
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        await client.SendAsync(string.Concat(Enumerable.Repeat(new string('x', 98) + "\r\n", 2_001)));
        Assert.StartsWith("552 5.3.4", await client.ReplyAsync(), StringComparison.Ordinal);

        // What it sends before it has read that doesn't take the reply away.
        await client.SendAsync(string.Concat(Enumerable.Repeat(new string('x', 98) + "\r\n", 5_000)));
        Assert.Equal(string.Empty, await server.AdvanceUntilAsync(client.ReplyAsync(), TimeSpan.FromSeconds(1.1)));
        Assert.Empty(server.Queue.Proposed);
    }

    [Theory]
    [InlineData("TLSv1")]
    [InlineData("TLSv1.1")]
    public async Task Broken_versions_of_TLS_are_refused(string version)
    {
        await using var server = await SmtpTestServer.StartAsync(hasCertificate: true, implicitTls: true);
        using var client = await server.ConnectAsync();
        await client.SendAsync(ClientHello(version is "TLSv1" ? (byte)1 : (byte)2));

        // An alert (21), fatal (2): protocol version (70).
        var alert = await client.ReadAsync(7);
        Assert.Equal([21, 2, 70], [alert[0], alert[5], alert[6]]);
    }

    [Fact]
    public async Task An_encrypted_connection_ends_with_a_word_so_that_the_end_is_no_cut()
    {
        await using var server = await SmtpTestServer.StartAsync(hasCertificate: true, implicitTls: true);
        using var client = await server.ConnectAsync();
        var record = client.RecordOctets();
        await client.StartTlsAsync();
        await client.ReplyAsync();
        Assert.StartsWith("221", await client.AskAsync("QUIT"), StringComparison.Ordinal);
        Assert.Equal(string.Empty, await client.ReplyAsync());

        // In TLS 1.3 an alert of two octets looks like data, with one octet for its type and 16 for its tag. The reply is longer.
        Assert.Equal(2 + 1 + 16, LengthOfLastRecord(record));
    }

    [Fact]
    public async Task A_listener_of_both_families_judges_IPv4_clients_by_networks_of_IPv4()
    {
        var options = new ReceivingOptions { Trusted = new NetworkList([IPNetwork.Parse("127.0.0.0/8")]) };
        await using var server = await SmtpTestServer.StartAsync(options: options, address: IPAddress.IPv6Any);
        using var socket = new TcpClient();
        await socket.ConnectAsync(IPAddress.Loopback, server.EndPoint.Port, TestContext.Current.CancellationToken);
        using var client = new SmtpTestClient(socket);
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        Assert.StartsWith("250", await client.SendMessageAsync("x: y", "x@foreign.test"), StringComparison.Ordinal);
        var body = await server.ReadBodyAsync(Assert.Single(server.Queue.Enqueued).Id);
        Assert.Contains("([127.0.0.1])", Encoding.ASCII.GetString(body), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("::ffff:192.0.2.0/120", "192.0.2.7", true)]
    [InlineData("::ffff:192.0.2.0/120", "::ffff:192.0.2.7", true)]
    [InlineData("::ffff:192.0.2.0/120", "192.0.3.7", false)]
    [InlineData("192.0.2.0/24", "::ffff:192.0.2.7", true)]
    [InlineData("2001:db8::/32", "2001:db8::7", true)]
    public void IPv4_networks_match_however_they_are_written(string network, string address, bool isIn) =>
        Assert.Equal(isIn, new NetworkList([IPNetwork.Parse(network)]).Contains(IPAddress.Parse(address)));

    [Fact]
    public async Task Plain_octets_behind_STARTTLS_are_not_taken_for_commands_cve_2011_0411()
    {
        await using var server = await SmtpTestServer.StartAsync(hasCertificate: true);
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        Assert.Contains("STARTTLS", await client.AskAsync("EHLO client.test"), StringComparison.Ordinal);
        await client.SendAsync("STARTTLS\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<joe@here.test>\r\n");
        Assert.StartsWith("220", await client.ReplyAsync(), StringComparison.Ordinal);
        await client.StartTlsAsync();
        Assert.StartsWith("503", await client.AskAsync("MAIL FROM:<a@b.test>"), StringComparison.Ordinal);
        Assert.DoesNotContain("STARTTLS", await client.AskAsync("EHLO client.test"), StringComparison.Ordinal);
        Assert.StartsWith("503", await client.AskAsync("STARTTLS"), StringComparison.Ordinal);
        Assert.StartsWith("250", await client.SendMessageAsync("x: y"), StringComparison.Ordinal);
        var body = await server.ReadBodyAsync(Assert.Single(server.Queue.Enqueued).Id);
        Assert.Contains("with ESMTPS id", Encoding.ASCII.GetString(body), StringComparison.Ordinal);
    }

    [Fact]
    public async Task TLS_that_ends_within_a_chunk_ends_the_connection_and_drops_the_message()
    {
        await using var server = await SmtpTestServer.StartAsync(hasCertificate: true);
        using var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        await client.AskAsync("STARTTLS");
        await client.StartTlsAsync();
        await client.AskAsync("EHLO client.test");
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.SendAsync("BDAT 20 LAST\r\n0123456789");
        await client.ShutdownTlsAsync();
        await client.Socket.SendAsync("0123456789NOOP\r\n"u8.ToArray());
        Assert.Equal(string.Empty, await client.ReplyAsync());
        Assert.Empty(server.Queue.Proposed);
    }

    [Fact]
    public async Task A_changed_certificate_is_used_without_a_restart()
    {
        await using var server = await SmtpTestServer.StartAsync(hasCertificate: true, implicitTls: true);
        using (var client = await server.ConnectAsync())
        {
            await client.StartTlsAsync();
            Assert.StartsWith("220", await client.ReplyAsync(), StringComparison.Ordinal);
            Assert.Equal("CN=first.test", client.ServerCertificate!.Subject);
        }

        server.WriteCertificate("second.test");
        File.SetLastWriteTimeUtc(server.CertificatePath, DateTime.UtcNow.AddSeconds(2));
        server.Time.Advance(TimeSpan.FromSeconds(11));
        using var next = await server.ConnectAsync();
        await next.StartTlsAsync();
        Assert.Equal("CN=second.test", next.ServerCertificate!.Subject);
    }

    [Fact]
    public async Task Submission_takes_mail_from_its_users_addresses_only()
    {
        await using var server = await SmtpTestServer.StartAsync(SmtpRole.Submission, hasCertificate: true, implicitTls: true);
        using var client = await server.ConnectAsync();
        await client.StartTlsAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        Assert.StartsWith("535 5.7.8", await client.AskAsync("AUTH PLAIN " + Base64("\0joe\0wrong")), StringComparison.Ordinal);
        Assert.StartsWith("535 5.7.8", await client.AskAsync("AUTH PLAIN " + Base64("\0nobody\0secret")), StringComparison.Ordinal);
        Assert.StartsWith("235 2.7.0", await client.AskAsync("AUTH PLAIN " + Base64("\0joe\0secret")), StringComparison.Ordinal);
        Assert.StartsWith("553 5.7.1", await client.AskAsync("MAIL FROM:<ann@here.test>"), StringComparison.Ordinal);
        Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<Joe@Here.Test>"), StringComparison.Ordinal);
        Assert.StartsWith("250", await client.AskAsync("RCPT TO:<anyone@foreign.test>"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("PROXY TCP4 198.51.100.7 192.0.2.1 1000 25\r\n", "198.51.100.7")]
    [InlineData("PROXY TCP6 2001:db8::7 2001:db8::1 1000 25\r\n", "IPv6:2001:db8::7")]
    [InlineData("PROXY UNKNOWN\r\n", "127.0.0.1")]
    [InlineData("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC6\x33\x64\x07\xC0\0\x02\x01\x03\xE8\0\x19", "198.51.100.7")]
    public async Task Behind_a_load_balancer_the_client_is_who_the_PROXY_header_says(string header, string client)
    {
        var options = new ReceivingOptions { ProxyFrom = new NetworkList([IPNetwork.Parse("127.0.0.0/8")]) };
        await using var server = await SmtpTestServer.StartAsync(options: options);
        using var connection = await server.ConnectAsync();
        await connection.SendAsync(header);
        await connection.ReplyAsync();
        await connection.AskAsync("EHLO client.test");
        await connection.SendMessageAsync("x: y");
        var body = await server.ReadBodyAsync(Assert.Single(server.Queue.Enqueued).Id);
        Assert.Contains($"([{client}])", Encoding.ASCII.GetString(body), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("PROXY UNKNOWN\r\n")]
    [InlineData("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]
    [InlineData("\r\n\r\n\0\r\nQUIT\n\x21\0\0\0")]
    public async Task A_client_that_the_load_balancer_does_not_name_is_served_without_the_balancers_rights(string header)
    {
        var options = new ReceivingOptions
        {
            ProxyFrom = new NetworkList([IPNetwork.Parse("127.0.0.0/8")]),
            Trusted = new NetworkList([IPNetwork.Parse("127.0.0.0/8")]),
            ConnectionsPerAddressMax = 1,
        };
        await using var server = await SmtpTestServer.StartAsync(options: options);
        server.Limits.Define(LimitNames.PerAddress, 1);
        using var client = await server.ConnectAsync();
        await client.SendAsync(header);
        Assert.StartsWith("220", await client.ReplyAsync(), StringComparison.Ordinal);
        await client.AskAsync("EHLO client.test");
        Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<a@b.test>"), StringComparison.Ordinal);
        Assert.StartsWith("550 5.7.1", await client.AskAsync("RCPT TO:<x@foreign.test>"), StringComparison.Ordinal);
        await client.AskAsync("RSET");
        Assert.StartsWith("250", await client.SendMessageAsync("x: y"), StringComparison.Ordinal);
        Assert.StartsWith("451 4.7.1", await client.AskAsync("MAIL FROM:<a@b.test>"), StringComparison.Ordinal);
        using var second = await server.ConnectAsync();
        await second.SendAsync(header);
        Assert.StartsWith("421 4.7.0", await second.ReplyAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_PROXY_header_is_mandatory_from_a_load_balancer_and_refused_from_others()
    {
        var options = new ReceivingOptions { ProxyFrom = new NetworkList([IPNetwork.Parse("127.0.0.0/8")]) };
        await using (var server = await SmtpTestServer.StartAsync(options: options))
        {
            using var client = await server.ConnectAsync();
            Assert.Equal(string.Empty, await client.AskAsync("EHLO client.test"));
        }

        await using var direct = await SmtpTestServer.StartAsync();
        using var liar = await direct.ConnectAsync();
        await liar.ReplyAsync();
        Assert.StartsWith("500 5.5.1", await liar.AskAsync("PROXY TCP4 198.51.100.7 192.0.2.1 1000 25"), StringComparison.Ordinal);
        Assert.Equal(string.Empty, await liar.ReplyAsync());
    }

    [Fact]
    public async Task Trusted_networks_relay_and_limits_per_address_spare_them()
    {
        var options = new ReceivingOptions
        {
            ProxyFrom = new NetworkList([IPNetwork.Parse("127.0.0.0/8")]),
            Trusted = new NetworkList([IPNetwork.Parse("198.51.100.0/24")]),
            ConnectionsPerAddressMax = 1,
        };
        await using var server = await SmtpTestServer.StartAsync(options: options);
        server.Limits.Define(LimitNames.PerAddress, 1);
        using var first = await ConnectAsync("203.0.113.1");
        Assert.StartsWith("550 5.7.1", await first.AskAsync("RCPT TO:<x@foreign.test>"), StringComparison.Ordinal);
        await first.AskAsync("RSET");
        Assert.StartsWith("250", await first.SendMessageAsync("x: y"), StringComparison.Ordinal);
        Assert.StartsWith("451 4.7.1", await first.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        using var second = await server.ConnectAsync();
        await second.SendAsync("PROXY TCP4 203.0.113.1 192.0.2.1 1000 25\r\n");
        Assert.StartsWith("421 4.7.0", await second.ReplyAsync(), StringComparison.Ordinal);
        using var third = await ConnectAsync("198.51.100.1");
        using var fourth = await ConnectAsync("198.51.100.1");
        Assert.StartsWith("250", await fourth.AskAsync("RCPT TO:<x@foreign.test>"), StringComparison.Ordinal);
        await fourth.AskAsync("RSET");
        Assert.StartsWith("250", await fourth.SendMessageAsync("x: y"), StringComparison.Ordinal);
        Assert.StartsWith("250", await fourth.SendMessageAsync("x: y"), StringComparison.Ordinal);

        async Task<SmtpTestClient> ConnectAsync(string address)
        {
            var client = await server.ConnectAsync();
            await client.SendAsync($"PROXY TCP4 {address} 192.0.2.1 1000 25\r\n");
            Assert.StartsWith("220", await client.ReplyAsync(), StringComparison.Ordinal);
            await client.AskAsync("EHLO client.test");
            Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
            return client;
        }
    }

    [Fact]
    public void Every_listener_has_the_line_length_of_the_configuration()
    {
        var options = ConfigLoader.LoadText("[server]\nmax_line_length = 0\n[[listeners]]\nport = 2526\nrole = \"mx\"").Options;
        Assert.Equal([0, 0], SmtpHosting.CreateListeners(options).Select(listener => listener.Service.Limits.TextLineMax));
    }

    [Fact]
    public async Task More_connections_than_allowed_are_421()
    {
        await using var server = await SmtpTestServer.StartAsync(options: new ReceivingOptions { ConnectionsMax = 1 });
        using var first = await server.ConnectAsync();
        Assert.StartsWith("220", await first.ReplyAsync(), StringComparison.Ordinal);
        using var second = await server.ConnectAsync();
        Assert.StartsWith("421 4.7.0", await second.ReplyAsync(), StringComparison.Ordinal);
    }

    /// <summary>A client that has sent a message, whose commit waits for a task; and whoever is told that its 250 may not have been read.</summary>
    private static async Task<SmtpTestClient> SendUncommittedAsync(SmtpTestServer server, Task mayCommit, Action<QueueId> reported)
    {
        var isProposed = new TaskCompletionSource();
        server.Queue.Decide = async (command, _) =>
        {
            if (command is ReportUnreadReplyCommand report)
            {
                reported(report.Id);
            }
            else
            {
                isProposed.SetResult();
                await mayCommit;
            }

            return ScriptedQueue.Accepted;
        };
        var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        await client.SendAsync("x: y\r\n.\r\n");
        await isProposed.Task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        return client;
    }
}
