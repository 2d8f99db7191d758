using Quorumail.EndToEnd.Peers;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Sink;

/// <summary>The harness against itself and against Postfix: what it reports must be true before it judges Quorumail.</summary>
public sealed class SmtpSinkTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Load_client_sink_and_ledger_agree_without_a_server_between()
    {
        var token = TestContext.Current.CancellationToken;
        await using var sink = new SmtpSink();
        var load = new LoadClient(new LoadPlan { Port = sink.Port, Messages = 300, UsesChunking = false });
        await load.RunAsync(CancellationToken.None, token);

        var verdict = MailLedger.Settle(load.Sent, sink.Copies, []);
        Assert.True(verdict.IsGreen, verdict.ToString());
        Assert.Equal(300, load.Acknowledged);
        Assert.Equal(8, sink.MostOpenConnections);
    }

    [Fact]
    public async Task A_reply_that_the_sink_loses_is_an_unknown_outcome_and_a_reset_delivers_nothing()
    {
        var token = TestContext.Current.CancellationToken;
        var count = 0;
        await using var sink = new SmtpSink
        {
            Script = (stage, _) => stage != SinkStage.EndOfData ? SinkAction.Accept
                : Interlocked.Increment(ref count) switch
                {
                    1 => SinkAction.LoseReply,
                    2 => SinkAction.Reset,
                    3 => SinkAction.Say("451 4.3.0 later"),
                    4 => SinkAction.Say("554 5.6.0 no"),
                    _ => SinkAction.Accept,
                },
        };
        var load = new LoadClient(new LoadPlan { Port = sink.Port, Sessions = 1, Messages = 6, MaximumRecipients = 1, UsesChunking = false });
        await load.RunAsync(CancellationToken.None, token);

        var outcomes = load.Sent.Select(each => each.Outcome).ToArray();
        Assert.Equal(
            [SendOutcome.Unknown, SendOutcome.Unknown, SendOutcome.Deferred, SendOutcome.Refused, SendOutcome.Acknowledged, SendOutcome.Acknowledged],
            outcomes);
        var verdict = MailLedger.Settle(load.Sent, sink.Copies, []);
        Assert.True(verdict.IsGreen, verdict.ToString());
        Assert.Equal(1, verdict.UnknownButDelivered);
    }

    [Fact]
    public async Task Postfix_between_load_and_sink_keeps_the_ledger_green()
    {
        var token = TestContext.Current.CancellationToken;
        await using var sink = new SmtpSink();
        await using var postfix = await PostfixProcess.StartAsync([$"default_transport=smtp:[127.0.0.1]:{sink.Port}"], token);
        var load = new LoadClient(new LoadPlan { Port = postfix.Port, Messages = 200 });
        await load.RunAsync(CancellationToken.None, token);
        await sink.UntilDeliveredAsync(load.Sent, Limit, token);

        var verdict = MailLedger.Settle(load.Sent, sink.Copies, []);
        Assert.True(verdict.IsGreen, verdict.ToString());
        Assert.Equal(200, load.Acknowledged);
    }
}
