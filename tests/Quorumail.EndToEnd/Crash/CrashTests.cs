using System.Globalization;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Crash;

/// <summary>Promises 1 and 4 of the design: what was answered 250 survives the process, and only what is listed comes twice.</summary>
public sealed class CrashTests(ITestOutputHelper output)
{
    private static readonly TimeSpan LoadLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(150);

    [Fact]
    public async Task A_server_killed_under_load_delivers_all_that_it_acknowledged_and_doubles_only_what_it_lists()
    {
        var token = TestContext.Current.CancellationToken;
        var random = new Random(Announce());
        await using var sink = new SmtpSink { Script = new SinkTrouble(CrashPlan.Seed).Decide };
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(sink.Port).Retrying(), token);
        var sent = new List<SentMessage>();
        for (var round = 0; round < CrashPlan.Rounds; round++)
        {
            sent.AddRange(await KillUnderLoadAsync(server, new LoadPlan { Port = server.SmtpPort, HasLarge = true }, round, random, token));
            await sink.UntilDeliveredAsync(sent, DrainLimit, token);
            await server.UntilQueueEmptyAsync(DrainLimit, token);
            Settle(round, MailLedger.Settle(sent, sink.Copies, await server.SuspectsAsync(token), new SuspectCauses(sink.Unanswered, OwnersLost: true)), server);
        }
    }

    [Fact]
    public async Task A_power_cut_under_load_loses_nothing_that_was_acknowledged_and_doubles_only_what_is_listed()
    {
        var token = TestContext.Current.CancellationToken;
        var random = new Random(Announce());
        using var disk = PowerCutDisk.Mount(megabytes: 1024);
        await using var sink = new SmtpSink { Script = new SinkTrouble(CrashPlan.Seed).Decide };
        var settings = new ServerSettings { DataDirectory = Path.Combine(disk.Path, "data"), StorageLines = ["min_free = \"64MB\""] };
        await using var server = await ServerProcess.StartAsync(settings.Trusting().RoutedTo(sink.Port).Retrying(), token);
        var sent = new List<SentMessage>();
        for (var round = 0; round < CrashPlan.Rounds; round++)
        {
            sent.AddRange(await KillUnderLoadAsync(server, new LoadPlan { Port = server.SmtpPort, HasLarge = true }, round, random, token, disk));
            await sink.UntilDeliveredAsync(sent, DrainLimit, token);
            await server.UntilQueueEmptyAsync(DrainLimit, token);
            Settle(round, MailLedger.Settle(sent, sink.Copies, await server.SuspectsAsync(token), new SuspectCauses(sink.Unanswered, OwnersLost: true)), server);
        }
    }

    [Fact]
    public async Task A_server_killed_under_load_files_all_that_it_acknowledged_in_the_Maildir_just_once()
    {
        const string To = "postmaster@localhost";
        var token = TestContext.Current.CancellationToken;
        var random = new Random(Announce());
        await using var server = await ServerProcess.StartAsync(new ServerSettings(), token);
        var maildir = Path.Combine(server.DataDirectory, "maildir", "postmaster");
        var sent = new List<SentMessage>();
        for (var round = 0; round < CrashPlan.Rounds; round++)
        {
            var plan = new LoadPlan { Port = server.SmtpPort, HasLarge = true, MaximumRecipients = 1, Recipient = _ => To };
            sent.AddRange(await KillUnderLoadAsync(server, plan, round, random, token));
            await server.UntilQueueEmptyAsync(DrainLimit, token);
            var verdict = MailLedger.Settle(sent, ReceivedCopies.ReadMaildir(maildir, To), await server.SuspectsAsync(token));
            Settle(round, verdict, server);
            Assert.Empty(verdict.DuplicateListed);
        }
    }

    [Fact]
    public async Task A_server_told_to_stop_under_load_ends_with_0_and_loses_nothing()
    {
        var token = TestContext.Current.CancellationToken;
        var random = new Random(Announce());
        await using var sink = new SmtpSink();
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(sink.Port).Retrying(), token);
        using var stop = new CancellationTokenSource();
        var load = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "term", HasLarge = true, Seed = CrashPlan.Seed });
        var running = load.RunAsync(stop.Token, token);
        await load.UntilAcknowledgedAsync(random.Next(100, 300), LoadLimit, token);

        Assert.Equal(0, await server.TerminateAsync(TimeSpan.FromSeconds(40), token));

        await stop.CancelAsync();
        await running;
        await server.StartAgainAsync(token);
        await sink.UntilDeliveredAsync(load.Sent, DrainLimit, token);
        await server.UntilQueueEmptyAsync(DrainLimit, token);
        var verdict = MailLedger.Settle(load.Sent, sink.Copies, await server.SuspectsAsync(token), new SuspectCauses(sink.Unanswered, OwnersLost: false));
        Settle(0, verdict, server);
        Assert.Empty(verdict.DuplicateListed);
        Assert.Equal(0, verdict.UnknownButDelivered);
    }

    private int Announce()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed} QUORUMAIL_ROUNDS={CrashPlan.Rounds}");
        return CrashPlan.Seed;
    }

    // Load runs before, while and after the server is killed, or its disk's power cut, at a random moment and started
    // again on what it left.
    private static async Task<IReadOnlyCollection<SentMessage>> KillUnderLoadAsync(
        ServerProcess server, LoadPlan plan, int round, Random random, CancellationToken token, PowerCutDisk? disk = null)
    {
        using var stop = new CancellationTokenSource();
        var load = new LoadClient(plan with
        {
            Name = string.Create(CultureInfo.InvariantCulture, $"s{CrashPlan.Seed}-{round}"),
            Seed = random.Next(),
        });
        var running = load.RunAsync(stop.Token, token);
        await load.UntilAcknowledgedAsync(random.Next(50, 500), LoadLimit, token);
        disk?.Cut();
        await server.KillAsync();
        disk?.Restore();
        await server.StartAgainAsync(token);
        await load.UntilAcknowledgedAsync(load.Acknowledged + 100, LoadLimit, token);
        await stop.CancelAsync();
        await running;
        return load.Sent;
    }

    private void Settle(int round, LedgerVerdict verdict, ServerProcess server)
    {
        output.WriteLine($"round {round}: {verdict}");
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}, round {round}: {verdict}\nThe server's output ends:\n{server.Child.OutputTail}");
    }
}
