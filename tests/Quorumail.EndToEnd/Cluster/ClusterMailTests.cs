using System.Diagnostics;
using System.Globalization;
using Quorumail.EndToEnd.Crash;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Cluster;

/// <summary>Promises 1, 2 and 4 of the design on three nodes: what any node answered 250 is delivered, whichever node dies.</summary>
public sealed class ClusterMailTests(ITestOutputHelper output)
{
    private static readonly TimeSpan FormLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LoadLimit = TimeSpan.FromSeconds(90);

    /// <summary>Of mail that goes on until a test ends, to each node: enough to be under way whenever something happens, and room for other tests.</summary>
    private const int EndlessRate = 50;

    /// <summary>While nodes are restarted one after the other, somebody answers 250 at least so often.</summary>
    private static readonly TimeSpan RollingGapMax = TimeSpan.FromSeconds(4);

    /// <summary>Longer than the wait for a lost node's open attempts, which the test sets to 5 s.</summary>
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(120);

    private readonly CancellationToken _token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Mail_that_any_node_takes_is_delivered()
    {
        await using var sink = new SmtpSink();
        await using var servers = await FormAsync(sink);
        var loads = Loads(servers, [0, 1, 2], messages: 60);
        await Task.WhenAll(loads.Select(load => load.RunAsync(CancellationToken.None, _token)));

        var sent = loads.SelectMany(load => load.Sent).ToList();
        Assert.All(sent, message => Assert.Equal(SendOutcome.Acknowledged, message.Outcome));
        await SettleAsync(servers, [0, 1, 2], sink, sent, ownersLost: false);
    }

    [Fact]
    public async Task When_a_node_is_killed_under_load_the_others_deliver_its_queue_and_double_only_what_is_listed()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed} QUORUMAIL_ROUNDS={CrashPlan.Rounds}");
        var random = new Random(CrashPlan.Seed);
        await using var sink = new SmtpSink { Script = new SinkTrouble(CrashPlan.Seed).Decide };
        await using var servers = await FormAsync(sink);
        List<SentMessage> sent = [];
        for (var round = 0; round < CrashPlan.Rounds; round++)
        {
            // The leader in every other round.
            var leader = await servers.LeaderAsync([0, 1, 2], _token);
            var victim = round % 2 == 0 ? leader : (leader + 1) % 3;
            int[] rest = [.. Enumerable.Range(0, 3).Where(i => i != victim)];
            using var stop = new CancellationTokenSource();
            var loads = Loads(servers, [0, 1, 2], 0, string.Create(CultureInfo.InvariantCulture, $"r{round}"), random.Next());
            var running = Task.WhenAll(loads.Select(load => load.RunAsync(stop.Token, _token)));
            await loads[victim].UntilAcknowledgedAsync(random.Next(30, 200), LoadLimit, _token);
            await servers.KillAsync(victim);

            var killed = Stopwatch.StartNew();
            long[] counts = [.. rest.Select(i => loads[i].Acknowledged)];
            await Task.WhenAll(rest.Select((i, n) => loads[i].UntilAcknowledgedAsync(counts[n] + 50, LoadLimit, _token)));
            output.WriteLine($"round {round}: killed node{victim + 1}{(victim == leader ? ", the leader" : "")}; 50 messages more at each of the others after {killed.Elapsed.TotalSeconds:F1} s");

            // The dead node's queue is delivered while it is dead.
            await stop.CancelAsync();
            foreach (var i in rest)
            {
                Assert.DoesNotContain(loads[i].Sent, message => message.Outcome is SendOutcome.Unknown);
            }

            await servers.UntilQueueEmptyAsync(rest, DrainLimit, _token);
            await servers.StartAsync(victim);
            await running;
            sent.AddRange(loads.SelectMany(load => load.Sent));
            await servers.UntilReadyAsync([victim], FormLimit, _token);
            await servers.UntilWholeAsync(FormLimit, _token);
            await SettleAsync(servers, [0, 1, 2], sink, sent);
        }
    }

    [Fact]
    public async Task When_all_nodes_are_killed_at_once_nothing_that_was_acknowledged_is_lost()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        var random = new Random(CrashPlan.Seed);
        await using var sink = new SmtpSink();
        await using var servers = await FormAsync(sink);
        List<SentMessage> sent = [];
        for (var round = 0; round < CrashPlan.Rounds; round++)
        {
            using var stop = new CancellationTokenSource();
            var loads = Loads(servers, [0, 1, 2], 0, string.Create(CultureInfo.InvariantCulture, $"all{round}"), random.Next());
            var running = Task.WhenAll(loads.Select(load => load.RunAsync(stop.Token, _token)));
            await loads[0].UntilAcknowledgedAsync(random.Next(50, 200), LoadLimit, _token);
            await Task.WhenAll(Enumerable.Range(0, 3).Select(servers.KillAsync));
            for (var i = 0; i < 3; i++)
            {
                await servers.StartAsync(i);
            }

            await servers.UntilReadyAsync([0, 1, 2], FormLimit, _token);
            await loads[0].UntilAcknowledgedAsync(loads[0].Acknowledged + 20, LoadLimit, _token);
            await stop.CancelAsync();
            await running;
            sent.AddRange(loads.SelectMany(load => load.Sent));
            await SettleAsync(servers, [0, 1, 2], sink, sent);
        }
    }

    [Fact]
    public async Task A_large_message_reaches_the_disks_of_a_majority_in_pieces_and_arrives()
    {
        await using var sink = new SmtpSink();
        await using var servers = await FormAsync(sink);
        LoadClient[] loads = [.. Enumerable.Range(0, 3).Select(i => new LoadClient(new LoadPlan
        {
            Port = servers.SmtpPort(i), Name = $"large{i}", Sessions = 2, Messages = 4, MinimumSize = 200_000, MaximumSize = 9_000_000, Seed = CrashPlan.Seed + i,
        }))];
        await Task.WhenAll(loads.Select(load => load.RunAsync(CancellationToken.None, _token)));
        var sent = loads.SelectMany(load => load.Sent).ToList();
        Assert.All(sent, message => Assert.Equal(SendOutcome.Acknowledged, message.Outcome));
        await SettleAsync(servers, [0, 1, 2], sink, sent, ownersLost: false);
    }

    [Fact]
    public async Task A_rolling_restart_under_load_loses_nothing_and_refuses_only_before_MAIL()
    {
        await using var sink = new SmtpSink();
        await using var servers = await FormAsync(sink);
        using var stop = new CancellationTokenSource();
        var loads = Loads(servers, [0, 1, 2], 0, "roll", CrashPlan.Seed);
        var running = Task.WhenAll(loads.Select(load => load.RunAsync(stop.Token, _token)));
        await Task.WhenAll(loads.Select(load => load.UntilAcknowledgedAsync(30, LoadLimit, _token)));
        var began = Stopwatch.GetTimestamp();
        for (var i = 0; i < 3; i++)
        {
            var others = Enumerable.Range(0, 3).Where(other => other != i).ToList();
            var before = others.Select(other => loads[other].Acknowledged).ToList();
            Assert.Equal(0, await servers.TerminateAsync(i, TimeSpan.FromSeconds(40), _token));
            await Task.WhenAll(others.Select((other, n) => loads[other].UntilAcknowledgedAsync(before[n] + 30, LoadLimit, _token)));
            await servers.StartAsync(i);
            await servers.UntilReadyAsync([i], FormLimit, _token);
            await servers.UntilWholeAsync(FormLimit, _token);
            await loads[i].UntilAcknowledgedAsync(loads[i].Acknowledged + 20, LoadLimit, _token);
        }

        var ended = Stopwatch.GetTimestamp();
        await stop.CancelAsync();
        await running;
        List<SentMessage> sent = [.. loads.SelectMany(load => load.Sent)];
        var gap = LongestGap.Of(sent.Where(message => message.Outcome == SendOutcome.Acknowledged).Select(message => message.Returned), began, ended);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"longest time in which no node answered 250: {gap.TotalSeconds:F2} s"));
        Assert.InRange(gap, TimeSpan.Zero, RollingGapMax);
        Assert.All(sent.Where(message => message.Outcome != SendOutcome.Acknowledged), message =>
        {
            Assert.StartsWith("421", message.Reply, StringComparison.Ordinal);
            Assert.Equal(SendStage.Mail, message.Stage);
        });
        var verdict = await SettleAsync(servers, [0, 1, 2], sink, sent, ownersLost: false);
        Assert.Empty(verdict.DuplicateListed);
    }

    [Fact]
    public async Task A_wiped_node_comes_back_under_a_new_incarnation_and_gets_copies_again()
    {
        await using var sink = new SmtpSink { Script = static (stage, _) => stage == SinkStage.Connect ? SinkAction.Say("421 4.3.2 not now") : SinkAction.Accept };
        await using var servers = await FormAsync(sink);
        var loads = Loads(servers, [0, 1, 2], 30);
        await Task.WhenAll(loads.Select(load => load.RunAsync(CancellationToken.None, _token)));
        await servers.KillAsync(2);
        servers.Wipe(2);
        await servers.StartAsync(2);
        await servers.UntilReadyAsync([2], FormLimit, _token);
        await servers.UntilWholeAsync(FormLimit, _token);

        // What lay on the lost disk and one other is on two again: one more disk may be lost.
        await servers.UntilMetricAsync(0, "smtp_queue_copies_missing 0", DrainLimit, _token);
        await servers.KillAsync(1);
        sink.Script = static (_, _) => SinkAction.Accept;
        await sink.UntilDeliveredAsync([.. loads.SelectMany(load => load.Sent)], DrainLimit, _token);
        await servers.StartAsync(1);
        await servers.UntilReadyAsync([1], FormLimit, _token);
        await SettleAsync(servers, [0, 1, 2], sink, [.. loads.SelectMany(load => load.Sent)]);
    }

    [Fact]
    public async Task A_node_without_a_majority_refuses_mail_then_closes_its_port_and_opens_it_again()
    {
        await using var sink = new SmtpSink();
        await using var servers = await FormAsync(sink, "refuse_grace = \"2s\"");
        await servers.KillAsync(1);
        await servers.KillAsync(2);
        await Deadline.UntilAsync(each => servers.RefusesConnectionsAsync(0, each), TimeSpan.FromSeconds(60), () => $"node1 still listens\n{servers.Outputs}", _token);
        Assert.NotNull(await servers.StatusAsync(0, _token));
        await servers.StartAsync(1);
        await servers.UntilReadyAsync([0, 1], FormLimit, _token);
        await Deadline.UntilAsync(async each => !await servers.RefusesConnectionsAsync(0, each), TimeSpan.FromSeconds(20), () => $"node1 does not listen\n{servers.Outputs}", _token);
        var loads = Loads(servers, [0, 1], 20, "back");
        await Task.WhenAll(loads.Select(load => load.RunAsync(CancellationToken.None, _token)));
        await SettleAsync(servers, [0, 1], sink, [.. loads.SelectMany(load => load.Sent)]);
    }

    [Fact]
    public async Task A_server_that_stood_alone_becomes_the_first_of_a_cluster_with_its_queue()
    {
        await using var sink = new SmtpSink { Script = static (stage, _) => stage == SinkStage.Connect ? SinkAction.Say("421 4.3.2 not now") : SinkAction.Accept };
        await using var servers = new ClusterServers(3, Lines(sink), Trusting);
        await servers.StartAloneAsync(0);
        await servers.UntilReadyAsync([0], FormLimit, _token);
        var alone = Loads(servers, [0], 40, "alone");
        await alone[0].RunAsync(CancellationToken.None, _token);
        Assert.Equal(0, await servers.TerminateAsync(0, TimeSpan.FromSeconds(40), _token));

        await servers.StartAllAsync(FormLimit, _token);
        await servers.UntilMetricAsync(0, "smtp_queue_copies_missing 0", DrainLimit, _token);
        sink.Script = static (_, _) => SinkAction.Accept;
        await servers.KillAsync(0);
        await SettleAsync(servers, [1, 2], sink, [.. alone[0].Sent]);
    }

    internal const string Trusting = "trusted_networks = [\"127.0.0.0/8\"]";

    internal static string Lines(SmtpSink sink) => string.Create(CultureInfo.InvariantCulture, $"""
        in_doubt_wait = "5s"
        [queue]
        retry_schedule = ["1s"]
        [[routes]]
        match = "*"
        transport = "smtp"
        host = "127.0.0.1"
        port = {sink.Port}
        """);

    private Task<ClusterServers> FormAsync(SmtpSink sink, string server = "") =>
        ClusterServers.FormAsync(Lines(sink), $"{Trusting}\n{server}", FormLimit, _token);

    private static LoadClient[] Loads(ClusterServers servers, IEnumerable<int> nodes, long messages, string name = "m", int seed = 1) =>
        [.. nodes.Select(i => new LoadClient(new LoadPlan
        {
            Port = servers.SmtpPort(i), Name = $"{name}-{i}", Sessions = 4, HasLarge = true, Messages = messages, Rate = messages == 0 ? EndlessRate : 0, Seed = seed + i,
        }))];

    private async Task<LedgerVerdict> SettleAsync(ClusterServers servers, int[] nodes, SmtpSink sink, IReadOnlyCollection<SentMessage> sent, bool ownersLost = true)
    {
        await sink.UntilDeliveredAsync(sent, DrainLimit, _token);
        await servers.UntilQueueEmptyAsync(nodes, DrainLimit, _token);
        var verdict = MailLedger.Settle(sent, sink.Copies, await servers.SuspectsAsync(nodes[0], _token), new SuspectCauses(sink.Unanswered, ownersLost));
        output.WriteLine(verdict.ToString());
        var doubled = sink.Copies.Where(copy => verdict.DuplicateUnlisted.Contains($"{copy.Id} {copy.Recipient}", StringComparer.Ordinal)).Select(copy => copy.QueueId).Distinct(StringComparer.Ordinal).Take(3);
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{servers.LinesOf(doubled)}\n{servers.Outputs}");
        return verdict;
    }
}
