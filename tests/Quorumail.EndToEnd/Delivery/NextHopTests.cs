using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Delivery;

/// <summary>Next hops that are down, slow, or say no; and accounts that add up afterwards.</summary>
public sealed class NextHopTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task A_next_hop_that_was_down_gets_everything_when_it_is_back_over_no_more_connections_than_configured()
    {
        var token = TestContext.Current.CancellationToken;
        var port = FreePort.Take();
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(port).Retrying(), token);
        var load = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "down", Messages = 300 });
        await load.RunAsync(CancellationToken.None, token);
        Assert.Equal(300, await server.MetricAsync("smtp_queue_size", token));

        await using var sink = new SmtpSink(port);
        await sink.UntilDeliveredAsync(load.Sent, Limit, token);
        await server.UntilQueueEmptyAsync(Limit, token);
        var verdict = MailLedger.Settle(load.Sent, sink.Copies, await server.SuspectsAsync(token));
        Assert.True(verdict.IsGreen, verdict.ToString());
        Assert.Empty(verdict.DuplicateListed);
        Assert.InRange(sink.MostOpenConnections, 1, 20);
    }

    [Fact]
    public async Task A_next_hop_that_never_answers_does_not_hold_up_the_others()
    {
        var token = TestContext.Current.CancellationToken;
        await using var silent = new SmtpSink { Script = static (_, _) => SinkAction.Hang };
        await using var sink = new SmtpSink();
        var settings = new ServerSettings().Trusting().RoutedTo(silent.Port, "silent.example").RoutedTo(sink.Port);
        await using var server = await ServerProcess.StartAsync(settings, token);
        var stuck = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "stuck", Messages = 200, Recipient = index => $"r{index}@silent.example" });
        await stuck.RunAsync(CancellationToken.None, token);
        var load = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "quick", Messages = 200 });
        await load.RunAsync(CancellationToken.None, token);

        await sink.UntilDeliveredAsync(load.Sent, Limit, token);
        var verdict = MailLedger.Settle(load.Sent, sink.Copies, []);
        Assert.True(verdict.IsGreen, verdict.ToString());
        // A delivery counts a moment later than the next hop's reply: its end has to be in the log.
        var queued = 0.0;
        await Deadline.UntilAsync(
            async each => (queued = await server.MetricAsync("smtp_queue_size", each)) == 200, Limit, () => $"{queued} messages are queued, not 200", token);
        Assert.InRange(silent.MostOpenConnections, 1, 20);
    }

    [Fact]
    public async Task A_lost_reply_after_the_final_dot_doubles_the_message_and_is_listed()
    {
        var token = TestContext.Current.CancellationToken;
        var lost = 0;
        await using var sink = new SmtpSink
        {
            Script = (stage, _) => stage == SinkStage.EndOfData && Interlocked.Increment(ref lost) <= 3 ? SinkAction.LoseReply : SinkAction.Accept,
        };
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(sink.Port).Retrying(), token);
        var load = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "doubt", Messages = 20, MaximumRecipients = 1 });
        await load.RunAsync(CancellationToken.None, token);
        await server.UntilQueueEmptyAsync(Limit, token);

        var suspects = await server.SuspectsAsync(token);
        var verdict = MailLedger.Settle(load.Sent, sink.Copies, suspects);
        Assert.True(verdict.IsGreen, verdict.ToString());
        Assert.Equal(3, verdict.DuplicateListed.Count);
        Assert.Equal(3, suspects.Count);

        var (code, output) = await ChildProcess.RunAsync(
            ServerProcess.Executable, ["queue", "suspects", "--json", "--config", server.ConfigPath], Limit, token);
        Assert.True(code == 0, output);
        Assert.All(suspects, each => Assert.Contains(each.QueueId, output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Refused_recipients_bounce_once_and_the_counters_add_up()
    {
        const string Sender = "sender@ledger.example";
        var token = TestContext.Current.CancellationToken;
        await using var sink = new SmtpSink
        {
            KeepsMessages = true,
            Script = static (stage, address) =>
                stage == SinkStage.Recipient && address.StartsWith("r1@", StringComparison.Ordinal) ? SinkAction.Say("550 5.1.1 unknown") : SinkAction.Accept,
        };
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(sink.Port).Retrying(), token);
        var load = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "bounce", Messages = 200 });
        await load.RunAsync(CancellationToken.None, token);
        await server.UntilQueueEmptyAsync(Limit, token);

        var bounced = load.Sent.Where(each => each.Recipients.Contains("r1@sink.example", StringComparer.Ordinal)).ToArray();
        var notices = sink.Messages.Where(each => each.Recipients.Contains(Sender, StringComparer.Ordinal)).ToArray();
        Assert.Equal(bounced.Length, notices.Length);
        Assert.All(notices, notice =>
        {
            Assert.Equal("", notice.Sender);
            Assert.Contains("multipart/report", notice.Text, StringComparison.Ordinal);
            Assert.Contains("Final-Recipient: rfc822; r1@sink.example", notice.Text, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("Status: 5.1.1", notice.Text, StringComparison.OrdinalIgnoreCase);
        });
        var recipients = load.Sent.Sum(each => each.Recipients.Count);
        Assert.Equal(200, await server.MetricAsync("smtp_messages_received_total", token));
        Assert.Equal(recipients - bounced.Length + notices.Length, await server.MetricAsync("smtp_messages_sent_total{status=\"delivered\"}", token));
        Assert.Equal(bounced.Length, await server.MetricAsync("smtp_messages_sent_total{status=\"failed\"}", token));
        Assert.DoesNotContain("nhandled", server.Child.Output, StringComparison.Ordinal);
    }
}
