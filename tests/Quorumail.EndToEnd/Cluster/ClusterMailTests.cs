using System.Diagnostics;
using System.Globalization;
using Quorumail.EndToEnd.Crash;
using Quorumail.EndToEnd.Ledger;
using Quorumail.EndToEnd.Load;
using Quorumail.EndToEnd.Processes;
using Quorumail.EndToEnd.Sink;

namespace Quorumail.EndToEnd.Cluster;

/// <summary>Promises 1, 2 and 4 of the design on three nodes: what any node answered 250 is delivered, whichever node dies.</summary>
public sealed class ClusterMailTests(ITestOutputHelper output)
{
    private static readonly TimeSpan FormLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LoadLimit = TimeSpan.FromSeconds(90);

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
        await SettleAsync(servers, [0, 1, 2], sink, sent);
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
        using var stop = new CancellationTokenSource();
        var loads = Loads(servers, [0, 1, 2], 0, "all", random.Next());
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
        await SettleAsync(servers, [0, 1, 2], sink, [.. loads.SelectMany(load => load.Sent)]);
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
        await SettleAsync(servers, [0, 1, 2], sink, sent);
    }

    private async Task<ClusterServers> FormAsync(SmtpSink sink)
    {
        ClusterServers servers = new(
            3,
            string.Create(CultureInfo.InvariantCulture, $"""
                in_doubt_wait = "5s"
                [queue]
                retry_schedule = ["1s"]
                [[routes]]
                match = "*"
                transport = "smtp"
                host = "127.0.0.1"
                port = {sink.Port}
                """),
            "trusted_networks = [\"127.0.0.0/8\"]");
        try
        {
            await servers.StartAllAsync(FormLimit, _token);
            return servers;
        }
        catch
        {
            await servers.DisposeAsync();
            throw;
        }
    }

    private static LoadClient[] Loads(ClusterServers servers, IEnumerable<int> nodes, long messages, string name = "m", int seed = 1) =>
        [.. nodes.Select(i => new LoadClient(new LoadPlan
        {
            Port = servers.SmtpPort(i), Name = $"{name}-{i}", Sessions = 4, Messages = messages, Seed = seed + i,
        }))];

    private async Task SettleAsync(ClusterServers servers, int[] nodes, SmtpSink sink, IReadOnlyCollection<SentMessage> sent)
    {
        await sink.UntilDeliveredAsync(sent, DrainLimit, _token);
        await servers.UntilQueueEmptyAsync(nodes, DrainLimit, _token);
        var verdict = MailLedger.Settle(sent, sink.Copies, await servers.SuspectsAsync(nodes[0], _token));
        output.WriteLine(verdict.ToString());
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{servers.Outputs}");
    }
}
