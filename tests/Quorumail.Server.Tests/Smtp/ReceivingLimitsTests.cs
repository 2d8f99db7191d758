using System.Net;
using System.Text;
using Quorumail.Cluster.Log;
using Quorumail.Core.Queue;
using Quorumail.Server.Limits;
using Quorumail.Server.Queue;
using Quorumail.Server.Smtp;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>The cluster's limits as clients meet them.</summary>
public sealed class ReceivingLimitsTests
{
    [Fact]
    public async Task Messages_of_one_address_are_limited_and_those_of_another_are_not()
    {
        await using var server = await SmtpTestServer.StartAsync(options: new ReceivingOptions { ProxyFrom = Loopback });
        server.Limits.Define(LimitNames.PerAddress, 2);
        using var client = await ConnectAsync(server, "203.0.113.1");
        Assert.StartsWith("250", await client.SendMessageAsync("x: y\r\n"), StringComparison.Ordinal);
        Assert.StartsWith("250", await client.SendMessageAsync("x: y\r\n"), StringComparison.Ordinal);
        Assert.Equal("451 4.7.1 Too many messages, try again later", await client.AskAsync("MAIL FROM:<>"));
        using var again = await ConnectAsync(server, "203.0.113.1");
        Assert.StartsWith("451 4.7.1", await again.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        using var other = await ConnectAsync(server, "203.0.113.2");
        Assert.StartsWith("250", await other.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        server.Time.Advance(TimeSpan.FromHours(1));
        using var later = await ConnectAsync(server, "203.0.113.1");
        Assert.StartsWith("250", await later.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_has_one_count_for_all_addresses_of_its_IPv6_network()
    {
        await using var server = await SmtpTestServer.StartAsync(options: new ReceivingOptions { ProxyFrom = Loopback });
        server.Limits.Define(LimitNames.PerAddress, 1);
        using var client = await ConnectAsync(server, "2001:db8:1:2::5", "TCP6", "2001:db8::1");
        Assert.StartsWith("250", await client.SendMessageAsync("x: y\r\n"), StringComparison.Ordinal);
        using var neighbour = await ConnectAsync(server, "2001:db8:1:2:ffff::6", "TCP6", "2001:db8::1");
        Assert.StartsWith("451 4.7.1", await neighbour.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        Assert.Equal("2001:db8:1:2::/64", Assert.Single(server.Limits.State.Usage(0)).Fullest);
    }

    [Fact]
    public async Task Messages_of_a_senders_domain_and_for_a_recipients_domain_are_limited_whoever_sends_them()
    {
        await using var server = await SmtpTestServer.StartAsync();
        server.Limits.Define(LimitNames.PerSenderDomain, 2);
        server.Limits.Define(LimitNames.PerRecipientDomain, 2);
        using var client = await GreetedAsync(server);
        await client.AskAsync("MAIL FROM:<a@Busy.test>");
        Assert.StartsWith("250", await client.AskAsync("RCPT TO:<joe@here.test>"), StringComparison.Ordinal);
        Assert.StartsWith("250", await client.AskAsync("RCPT TO:<team@HERE.test>"), StringComparison.Ordinal);
        Assert.StartsWith("250", await client.AskAsync("RCPT TO:<x@relayed.test>"), StringComparison.Ordinal);
        Assert.StartsWith("354", await client.AskAsync("DATA"), StringComparison.Ordinal);
        Assert.StartsWith("250", await client.AskAsync("x: y\r\n."), StringComparison.Ordinal);
        await client.AskAsync("MAIL FROM:<b@busy.test>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        Assert.StartsWith("250", await client.AskAsync("x: y\r\n."), StringComparison.Ordinal);
        Assert.StartsWith("451 4.7.1", await client.AskAsync("MAIL FROM:<c@busy.test>"), StringComparison.Ordinal);
        Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<c@other.test>"), StringComparison.Ordinal);
        Assert.Equal("451 4.7.1 Too many messages for this domain, try again later", await client.AskAsync("RCPT TO:<joe@here.test>"));
        Assert.StartsWith("250", await client.AskAsync("RCPT TO:<x@relayed.test>"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Messages_of_a_user_are_limited_wherever_they_come_from()
    {
        await using var server = await SmtpTestServer.StartAsync(Core.Smtp.SmtpRole.Submission, hasCertificate: true);
        server.Limits.Define(LimitNames.PerUser, 1);
        for (var connection = 0; connection < 2; connection++)
        {
            using var client = await GreetedAsync(server);
            Assert.StartsWith("220", await client.AskAsync("STARTTLS"), StringComparison.Ordinal);
            await client.StartTlsAsync();
            await client.AskAsync("EHLO client.test");
            var login = Convert.ToBase64String(Encoding.ASCII.GetBytes("\0joe\0secret"));
            Assert.StartsWith("235", await client.AskAsync("AUTH PLAIN " + login), StringComparison.Ordinal);
            Assert.StartsWith(connection == 0 ? "250" : "451 4.7.1", await client.AskAsync("MAIL FROM:<joe@here.test>"), StringComparison.Ordinal);
            if (connection == 0)
            {
                await client.AskAsync("RCPT TO:<joe@here.test>");
                await client.AskAsync("DATA");
                Assert.StartsWith("250", await client.AskAsync("x: y\r\n."), StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public async Task Only_what_may_have_been_accepted_counts()
    {
        // One that asks again and again until it may.
        await using var server = await SmtpTestServer.StartAsync(limits: new Core.Smtp.SmtpLimits { ErrorsMax = 1_000_000 });
        server.Limits.Define(LimitNames.PerSenderDomain, 1);
        using var client = await GreetedAsync(server);
        for (var i = 0; i < 3; i++)
        {
            Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<a@busy.test>"), StringComparison.Ordinal);
            Assert.StartsWith("550", await client.AskAsync("RCPT TO:<nobody@here.test>"), StringComparison.Ordinal);
            Assert.StartsWith("250", await client.AskAsync("RSET"), StringComparison.Ordinal);
        }

        await client.AskAsync("MAIL FROM:<a@busy.test>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        Assert.StartsWith("550 5.6.11", await client.AskAsync("x: \ry\r\n."), StringComparison.Ordinal);
        using (var leaving = await GreetedAsync(server))
        {
            await client.AskAsync("RSET");
            Assert.StartsWith("250", await leaving.AskAsync("MAIL FROM:<a@busy.test>"), StringComparison.Ordinal);
            Assert.StartsWith("451 4.7.1", await client.AskAsync("MAIL FROM:<a@busy.test>"), StringComparison.Ordinal);
            Assert.StartsWith("221", await leaving.AskAsync("QUIT"), StringComparison.Ordinal);
            Assert.Equal("", await leaving.ReplyAsync());
        }

        await server.AdvanceUntilAsync(AcceptedAsync(client), TimeSpan.FromMilliseconds(200));

        // What may have been committed is used.
        server.Queue.Decide = static (_, _) => throw new OperationCanceledException();
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        Assert.StartsWith("451 4.3.2", await client.AskAsync("x: y\r\n."), StringComparison.Ordinal);
        Assert.StartsWith("451 4.7.1", await client.AskAsync("MAIL FROM:<a@busy.test>"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ProposalOutcome.Refused)]
    [InlineData(ProposalOutcome.Applied)]
    public async Task A_message_that_the_log_has_refused_does_not_count(ProposalOutcome outcome)
    {
        await using var server = await SmtpTestServer.StartAsync();
        server.Limits.Define(LimitNames.PerSenderDomain, 1);
        using var client = await GreetedAsync(server);
        server.Queue.Decide = (_, _) => ValueTask.FromResult(new QueueProposal(outcome, ApplyStatus.TooFewCopies));
        for (var i = 0; i < 3; i++)
        {
            Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<a@busy.test>"), StringComparison.Ordinal);
            await client.AskAsync("RCPT TO:<joe@here.test>");
            await client.AskAsync("DATA");
            Assert.StartsWith("451 4.3.2", await client.AskAsync("x: y\r\n."), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_client_waits_for_the_log_no_longer_than_for_a_commit()
    {
        await using var server = await SmtpTestServer.StartAsync(options: new ReceivingOptions { CommitTimeout = TimeSpan.FromSeconds(3) });
        server.Limits.Define(LimitNames.PerSenderDomain, 5);
        var never = new TaskCompletionSource<bool>();
        server.Limits.Decide = _ => never.Task;
        using var client = await GreetedAsync(server);
        var reply = await server.AdvanceUntilAsync(client.AskAsync("MAIL FROM:<a@busy.test>"), TimeSpan.FromSeconds(1));
        Assert.StartsWith("451 4.3.2", reply, StringComparison.Ordinal);
        Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        server.Limits.Decide = static _ => Task.FromResult(true);
    }

    [Fact]
    public async Task Pipelined_commands_are_answered_in_order_while_the_log_is_asked()
    {
        await using var server = await SmtpTestServer.StartAsync();
        server.Limits.Define(LimitNames.PerSenderDomain, 5);
        server.Limits.Define(LimitNames.PerRecipientDomain, 1);
        using var client = await GreetedAsync(server);
        await client.SendAsync("MAIL FROM:<a@b.test>\r\nRCPT TO:<joe@here.test>\r\nRCPT TO:<x@relayed.test>\r\nDATA\r\n");
        foreach (var expected in (string[])["250 2.1.0", "250 2.1.5", "250 2.1.5", "354"])
        {
            Assert.StartsWith(expected, await client.ReplyAsync(), StringComparison.Ordinal);
        }

        await client.SendAsync("x: y\r\n.\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<joe@here.test>\r\nRSET\r\n");
        foreach (var expected in (string[])["250 2.0.0 queued", "250 2.1.0", "451 4.7.1", "250 2.0.0"])
        {
            Assert.StartsWith(expected, await client.ReplyAsync(), StringComparison.Ordinal);
        }
    }

    private static NetworkList Loopback => new([IPNetwork.Parse("127.0.0.0/8")]);

    private static async Task<string> AcceptedAsync(SmtpTestClient client)
    {
        string reply;
        do
        {
            reply = await client.AskAsync("MAIL FROM:<a@busy.test>");
        }
        while (!reply.StartsWith("250", StringComparison.Ordinal));
        return reply;
    }

    private static async Task<SmtpTestClient> GreetedAsync(SmtpTestServer server)
    {
        var client = await server.ConnectAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        return client;
    }

    private static async Task<SmtpTestClient> ConnectAsync(SmtpTestServer server, string address, string family = "TCP4", string to = "192.0.2.1")
    {
        var client = await server.ConnectAsync();
        await client.SendAsync($"PROXY {family} {address} {to} 1000 25\r\n");
        Assert.StartsWith("220", await client.ReplyAsync(), StringComparison.Ordinal);
        await client.AskAsync("EHLO client.test");
        return client;
    }
}
