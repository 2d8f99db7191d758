using System.Text;
using Prometheus;
using Quorumail.Core.Smtp;
using Quorumail.Server.Smtp;
using Metrics = Quorumail.Server.Http.Metrics;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>What the figures of the receiving side count. They are the process's, so that nothing else may run meanwhile.</summary>
[Collection(nameof(ReceivingMetricsTests))]
[CollectionDefinition(nameof(ReceivingMetricsTests), DisableParallelization = true)]
public sealed class ReceivingMetricsTests
{
    [Fact]
    public async Task Every_message_that_is_refused_counts_once_wherever_that_happens()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await GreetedAsync(server);
        var rejected = Since(Metrics.MessagesRejected);
        var recipients = Since(Metrics.RecipientsRejected);
        var errors = Since(Metrics.Errors);
        Assert.StartsWith("552", await client.AskAsync("MAIL FROM:<> SIZE=99999999999"), StringComparison.Ordinal);
        Assert.Equal(1, rejected());
        Assert.StartsWith("553", await client.AskAsync("MAIL FROM:<\u00c3\u00a4@b.test>"), StringComparison.Ordinal);
        Assert.Equal(2, rejected());
        await client.AskAsync("MAIL FROM:<>");
        Assert.StartsWith("550", await client.AskAsync("RCPT TO:<nobody@here.test>"), StringComparison.Ordinal);
        Assert.Equal((2, 1), (rejected(), recipients()));
        Assert.StartsWith("554", await client.AskAsync("DATA"), StringComparison.Ordinal);
        Assert.Equal((3, 1), (rejected(), recipients()));

        // Chunks of a message that is refused are no messages of their own.
        await client.SendAsync("BDAT 4\r\nabcdBDAT 4 LAST\r\nabcd");
        Assert.StartsWith("554", await client.ReplyAsync(), StringComparison.Ordinal);
        Assert.StartsWith("503", await client.ReplyAsync(), StringComparison.Ordinal);
        Assert.Equal(4, rejected());
        Assert.StartsWith("550", await client.SendMessageAsync("x: \ry"), StringComparison.Ordinal);
        Assert.Equal(5, rejected());
        Assert.Equal(7, errors());

        // Neither a client that changes its mind nor what it does afterwards.
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.SendAsync("BDAT 6\r\nx: y\r\n");
        await client.ReplyAsync();
        Assert.StartsWith("250", await client.AskAsync("RSET"), StringComparison.Ordinal);
        Assert.StartsWith("500", await client.AskAsync("XYZZY"), StringComparison.Ordinal);
        Assert.StartsWith("503", await client.AskAsync("RCPT TO:<joe@here.test>"), StringComparison.Ordinal);
        Assert.Equal((5, 1), (rejected(), recipients()));
        Assert.Equal(9, errors());
    }

    [Fact]
    public async Task Mail_without_a_login_is_a_message_refused_and_failed_logins_count_with_every_mechanism()
    {
        await using var server = await SmtpTestServer.StartAsync(SmtpRole.Submission, hasCertificate: true, implicitTls: true);
        using var client = await server.ConnectAsync();
        await client.StartTlsAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        var rejected = Since(Metrics.MessagesRejected);
        var failures = Since(Metrics.AuthFailures);
        var failed = Since(Metrics.AuthAttemptsFailed);
        var succeeded = Since(Metrics.AuthAttemptsSucceeded);
        Assert.StartsWith("530", await client.AskAsync("MAIL FROM:<joe@here.test>"), StringComparison.Ordinal);
        Assert.Equal(1, rejected());
        Assert.StartsWith("535", await client.AskAsync("AUTH PLAIN " + Base64("\0joe\0wrong")), StringComparison.Ordinal);
        await client.AskAsync("AUTH SCRAM-SHA-256 " + Base64("n,,n=joe,r=clientnonce"));
        Assert.StartsWith("535", await client.AskAsync(Base64("c=biws,r=wrong,p=AAAA")), StringComparison.Ordinal);
        using (var other = await server.ConnectAsync())
        {
            await other.StartTlsAsync();
            await other.ReplyAsync();
            await other.AskAsync("EHLO client.test");
            Assert.StartsWith("235", await other.AskAsync("AUTH PLAIN " + Base64("\0joe\0secret")), StringComparison.Ordinal);
        }

        Assert.StartsWith("421 4.7.0", await client.AskAsync("AUTH PLAIN " + Base64("\0joe\0wrong")), StringComparison.Ordinal);
        Assert.Equal((3, 3, 1), (failures(), failed(), succeeded()));
        Assert.Equal(1, rejected());
    }

    [Fact]
    public async Task Connections_beyond_the_limit_in_all_are_hits_of_a_limit()
    {
        await using var server = await SmtpTestServer.StartAsync(options: new ReceivingOptions { ConnectionsMax = 1 });
        Assert.Equal(1, Metrics.ConnectionsMax.Value);
        var hits = Since(Metrics.RateLimitHits);
        using var first = await GreetedAsync(server);
        using var second = await server.ConnectAsync();
        Assert.StartsWith("421 4.7.0", await second.ReplyAsync(), StringComparison.Ordinal);
        Assert.Equal(1, hits());
    }

    [Fact]
    public async Task A_messages_time_is_counted_from_MAIL_on()
    {
        await using var server = await SmtpTestServer.StartAsync();
        using var client = await GreetedAsync(server);
        var (count, sum) = (Metrics.ProcessingDuration.Count, Metrics.ProcessingDuration.Sum);
        await client.AskAsync("MAIL FROM:<>");
        server.Time.Advance(TimeSpan.FromSeconds(7));
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        Assert.StartsWith("250", await client.AskAsync("x: y\r\n."), StringComparison.Ordinal);
        Assert.Equal(count + 1, Metrics.ProcessingDuration.Count);
        Assert.Equal(7, Metrics.ProcessingDuration.Sum - sum, precision: 3);
    }

    private static Func<long> Since(ICounter counter)
    {
        var before = counter.Value;
        return () => (long)(counter.Value - before);
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
