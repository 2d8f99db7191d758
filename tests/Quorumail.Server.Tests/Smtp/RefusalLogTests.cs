using System.Net;
using System.Net.Sockets;
using System.Text;
using Quorumail.Core.Smtp;
using Quorumail.Server.Limits;
using Quorumail.Server.Smtp;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>What an operator reads of mail that was not accepted.</summary>
public sealed class RefusalLogTests
{
    private const string Here = "client=127.0.0.1 helo=client.test";

    [Theory]
    [InlineData("MAIL FROM:<a@b.test> SIZE=99999999999", "from=a@b.test ", "552 5.3.4 Message size exceeds the limit")]
    [InlineData("MAIL FROM:<\u00e4@b.test>", "from=\u00e4@b.test ", "553 5.6.7 Non-ASCII address needs SMTPUTF8")]
    [InlineData("MAIL FROM:<a@b.test> FOO=BAR", "from=a@b.test ", "555 5.5.4 Parameter not recognised")]
    [InlineData("MAIL FROM:a", "", "501 5.1.7 Bad sender address syntax")]
    public async Task A_sender_that_is_refused_by_the_rules_is_named(string command, string from, string status)
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await GreetedAsync(server);
        await client.SendAsync(Encoding.UTF8.GetBytes(command + "\r\n"));
        Assert.Equal(status, await client.ReplyAsync());
        Assert.Equal($"rejected {from}{Here} status={status}", await server.MailLog.NextAsync("rejected"));
    }

    [Fact]
    public async Task A_sender_that_is_refused_for_now_is_named()
    {
        await using var server = await SmtpTestServer.StartAsync();
        server.Limits.Define(LimitNames.PerSenderDomain, 1);
        using var client = await GreetedAsync(server);
        Assert.StartsWith("250", await client.SendMessageAsync("x: y"), StringComparison.Ordinal);
        Assert.StartsWith("451 4.7.1", await client.AskAsync("MAIL FROM:<other@client.test>"), StringComparison.Ordinal);
        Assert.StartsWith($"rejected from=other@client.test {Here} status=451 4.7.1", await server.MailLog.NextAsync("rejected"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("RCPT TO:<nobody@here.test>", "to=nobody@here.test ", "550 5.1.1")]
    [InlineData("RCPT TO:<x@foreign.test>", "to=x@foreign.test ", "550 5.7.1")]
    [InlineData("RCPT TO:<joe@here.test> SIZE=1", "to=joe@here.test ", "555 5.5.4")]
    [InlineData("RCPT TO:joe", "", "501 5.1.3")]
    public async Task A_recipient_that_is_refused_is_named_with_its_sender(string command, string to, string status)
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await GreetedAsync(server);
        await client.AskAsync("MAIL FROM:<a@b.test>");
        Assert.StartsWith(status, await client.AskAsync(command), StringComparison.Ordinal);
        Assert.StartsWith($"rejected from=a@b.test {to}{Here} status={status}", await server.MailLog.NextAsync("rejected"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("x: \ry", "550 5.6.11")]
    [InlineData("x: 1234567890123456789012345678901234567890", "554 5.6.0")]
    [InlineData("Received: 1\r\nReceived: 2\r\nReceived: 3", "554 5.4.6")]
    [InlineData("x: y\r\n\r\n1234567890\r\n1234567890\r\n1234567890\r\n1234567890\r\n1234567890\r\n1234567890", "552 5.3.4")]
    public async Task A_message_that_is_refused_at_its_end_has_queue_id_and_sender(string message, string status)
    {
        var limits = new SmtpLimits { MessageSizeMax = 70, TextLineMax = 40, ReceivedFieldsMax = 2 };
        await using var server = await SmtpTestServer.StartAsync(limits: limits);
        using var client = await GreetedAsync(server);
        Assert.StartsWith(status, await client.SendMessageAsync(message), StringComparison.Ordinal);
        Assert.Matches($"^rejected qid=[0-9A-Z]{{16}} from=sender@client.test {Here} status={status} ", await server.MailLog.NextAsync("rejected"));

        // What comes next is about something else.
        Assert.StartsWith("500", await client.AskAsync("XYZZY"), StringComparison.Ordinal);
        Assert.StartsWith($"rejected {Here} status=500", await server.MailLog.NextAsync("rejected"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_message_that_is_not_committed_has_queue_id_and_sender()
    {
        await using var server = await SmtpTestServer.StartAsync();
        server.Queue.Decide = static (_, _) => throw new OperationCanceledException();
        using var client = await GreetedAsync(server);
        Assert.StartsWith("451 4.3.2", await client.SendMessageAsync("x: y"), StringComparison.Ordinal);
        var id = Assert.Single(server.Queue.Enqueued).Id;
        Assert.StartsWith($"rejected qid={id} from=sender@client.test {Here} status=451 4.3.2", await server.MailLog.NextAsync("rejected"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Chunks_that_are_refused_name_their_message()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await GreetedAsync(server);
        await client.AskAsync("MAIL FROM:<a@b.test>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.SendAsync("BDAT 6\r\nx: y\r\nBDAT 4 FOO\r\nab");
        Assert.StartsWith("250", await client.ReplyAsync(), StringComparison.Ordinal);
        await client.SendAsync("cd");
        Assert.StartsWith("501", await client.ReplyAsync(), StringComparison.Ordinal);
        Assert.Matches($"^rejected qid=[0-9A-Z]{{16}} from=a@b.test {Here} status=501 ", await server.MailLog.NextAsync("rejected"));
    }

    [Fact]
    public async Task Time_outs_within_a_message_name_it_and_those_without_name_the_client()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var slow = await GreetedAsync(server);
        await slow.AskAsync("MAIL FROM:<a@b.test>");
        await slow.AskAsync("RCPT TO:<joe@here.test>");
        await slow.AskAsync("DATA");
        await server.AdvanceUntilAsync(slow.ReplyAsync(), TimeSpan.FromSeconds(70));
        Assert.Matches($"^rejected qid=[0-9A-Z]{{16}} from=a@b.test {Here} status=421 4.4.2 Data arrives too slowly", await server.MailLog.NextAsync("rejected"));
        using var idle = await GreetedAsync(server);
        await server.AdvanceUntilAsync(idle.ReplyAsync(), TimeSpan.FromMinutes(5.1));
        Assert.Equal($"rejected {Here} status=421 4.4.2 Timed out", await server.MailLog.NextAsync("rejected"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_vanishes_within_a_message_is_logged(bool isReset)
    {
        await using var server = await SmtpTestServer.StartAsync();
        using (var client = await GreetedAsync(server))
        {
            await client.AskAsync("MAIL FROM:<a@b.test>");
            await client.AskAsync("RCPT TO:<joe@here.test>");
            await client.AskAsync("DATA");
            await client.SendAsync("x: y\r\n");
            client.Socket.LingerState = new LingerOption(isReset, 0);
        }

        Assert.Matches($"^lost qid=[0-9A-Z]{{16}} from=a@b.test {Here}$", await server.MailLog.NextAsync("lost"));
        using (var client = await GreetedAsync(server))
        {
            await client.AskAsync("MAIL FROM:<a@b.test>");
        }

        using var last = await GreetedAsync(server);
        Assert.StartsWith("250", await last.SendMessageAsync("x: y"), StringComparison.Ordinal);
        Assert.DoesNotContain(server.MailLog.TakeAll(), line => line.StartsWith("lost", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Logins_are_logged_with_their_user_whether_they_succeed_or_not()
    {
        await using var server = await SmtpTestServer.StartAsync(SmtpRole.Submission, hasCertificate: true, implicitTls: true);
        using var client = await server.ConnectAsync();
        await client.StartTlsAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        Assert.StartsWith("535", await client.AskAsync("AUTH PLAIN " + Base64("\0ann\0wrong")), StringComparison.Ordinal);
        Assert.StartsWith($"rejected {Here} user=ann status=535 5.7.8", await server.MailLog.NextAsync("rejected"), StringComparison.Ordinal);
        await client.AskAsync("AUTH SCRAM-SHA-256 " + Base64("n,,n=joe,r=clientnonce"));
        Assert.StartsWith("535", await client.AskAsync(Base64("c=biws,r=wrong,p=AAAA")), StringComparison.Ordinal);
        Assert.StartsWith($"rejected {Here} user=joe status=535 5.7.8", await server.MailLog.NextAsync("rejected"), StringComparison.Ordinal);
        Assert.StartsWith("235", await client.AskAsync("AUTH PLAIN " + Base64("\0joe\0secret")), StringComparison.Ordinal);
        Assert.Equal($"authenticated {Here} user=joe", await server.MailLog.NextAsync("authenticated"));
        Assert.StartsWith("553", await client.AskAsync("MAIL FROM:<ann@here.test>"), StringComparison.Ordinal);
        Assert.StartsWith($"rejected from=ann@here.test {Here} user=joe status=553 5.7.1", await server.MailLog.NextAsync("rejected"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_failure_that_ends_a_session_names_its_user_too()
    {
        await using var server = await SmtpTestServer.StartAsync(
            SmtpRole.Submission, hasCertificate: true, implicitTls: true, limits: new SmtpLimits { AuthenticationFailuresMax = 1 });
        using var client = await server.ConnectAsync();
        await client.StartTlsAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        Assert.StartsWith("421 4.7.0", await client.AskAsync("AUTH PLAIN " + Base64("\0ann\0wrong")), StringComparison.Ordinal);
        Assert.StartsWith($"rejected {Here} user=ann status=421 4.7.0", await server.MailLog.NextAsync("rejected"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_flood_of_refused_connections_makes_one_line_an_address_and_one_for_the_rest()
    {
        var options = new ReceivingOptions { ProxyFrom = new NetworkList([IPNetwork.Parse("127.0.0.0/8")]), ConnectionsPerAddressMax = 1 };
        await using var server = await SmtpTestServer.StartAsync(options: options);
        using var first = await ConnectAsync("203.0.113.1");
        using var second = await ConnectAsync("203.0.113.2");
        for (var i = 0; i < 5; i++)
        {
            using var more = await ConnectAsync("203.0.113.1");
            using var other = await ConnectAsync("203.0.113.2");
        }

        string[] expected = ["rejected client=203.0.113.1 status=421 4.7.0 Too many connections, try again later", "rejected client=203.0.113.2 status=421 4.7.0 Too many connections, try again later"];
        Assert.Equal(expected, server.MailLog.TakeAll());
        server.Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal("LogMore count=8", await server.Log.NextAsync("LogMore"));
        using var later = await ConnectAsync("203.0.113.2");
        Assert.Equal(expected[1..], server.MailLog.TakeAll());

        async Task<SmtpTestClient> ConnectAsync(string address)
        {
            var client = await server.ConnectAsync();
            await client.SendAsync($"PROXY TCP4 {address} 192.0.2.1 1000 25\r\n");
            Assert.NotEqual("", await client.ReplyAsync());
            return client;
        }
    }

    [Fact]
    public void Addresses_that_are_named_in_a_minute_are_bounded()
    {
        var lines = new MailLines();
        var log = new MailLines();
        using (var refused = new RefusedConnections(lines, log, TimeProvider.System))
        {
            for (var i = 0; i < 1000; i++)
            {
                refused.Add(new IPAddress(i), SmtpReplies.TooManyConnections);
            }
        }

        Assert.Equal(RefusedConnections.LinesMax, lines.TakeAll().Count);
        Assert.Equal(["LogMore count=900"], log.TakeAll());
    }

    private static string Base64(string text) => Convert.ToBase64String(Encoding.ASCII.GetBytes(text));

    private static async Task<SmtpTestClient> GreetedAsync(SmtpTestServer server)
    {
        var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        return client;
    }
}
