using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Quorumail.EndToEnd.Cluster.Faults;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Crash;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Cluster.Mail;

/// <summary>
/// How long a dead node's mail waits until another one tries it, at the default keys. The node's next hop takes connections and says nothing, so
/// that what the node takes is due, and most of it has no attempt under way; the others' next hop notes when a message comes for the first
/// time. As many rounds as QUORUMAIL_TAKEOVERS says (one if it says nothing), of the leader and of a follower in turn.
/// </summary>
[Collection(QuietMachine.Name)]
public sealed class TakeoverTests(ITestOutputHelper output, SharedLabs labs)
{
    private const int Messages = 200;

    // Those that wait for the greeting have an attempt under way, perhaps: [delivery] concurrency_per_destination.
    private const int UnderWayMax = 20;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan AfterKillMax = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AfterSilenceMax = TimeSpan.FromSeconds(6);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_a_dead_node_had_not_begun_others_try_within_five_seconds_of_a_kill_and_six_of_a_silence()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        var kills = labs.UseAsync((lab, name) => PassAsync(lab, name, "kill -9", static (lab, owner) => lab.Nodes[owner].KillAsync(), AfterKillMax), Token);
        var silences = labs.UseAsync((lab, name) => PassAsync(lab, name, "silence", Isolate, AfterSilenceMax), Token);
        output.WriteLine(await kills);
        output.WriteLine(await silences);

        static Task Isolate(ClusterLab lab, int owner)
        {
            lab.Network.Isolate(owner);
            return Task.CompletedTask;
        }
    }

    private static async Task<string> PassAsync(ClusterLab lab, string name, string death, Func<ClusterLab, int, Task> dieAsync, TimeSpan bar)
    {
        List<TimeSpan> waits = [];
        for (var round = 0; round < CrashPlan.Takeovers; round++)
        {
            var (leader, _) = await lab.LeaderAsync(Token);
            var owner = round % 2 == 0 ? leader : (leader + 1) % lab.Nodes.Count;
            waits.AddRange(await RoundAsync(lab, string.Create(CultureInfo.InvariantCulture, $"{name}-{round}"), owner, dieAsync));
        }

        waits.Sort();
        var p99 = waits[(int)Math.Ceiling(0.99 * waits.Count) - 1];
        var said = string.Create(
            CultureInfo.InvariantCulture,
            $"{death}, {CrashPlan.Takeovers} times: first attempt at {waits.Count} messages after {waits[waits.Count / 2].TotalSeconds:F2} s (median), {p99.TotalSeconds:F2} s (p99), {waits[^1].TotalSeconds:F2} s (last)");
        Assert.True(p99 <= bar, $"{said}; at most {bar.TotalSeconds} s are allowed\n{lab.Outputs}");
        return said;
    }

    // From the death to the first attempt, of each message that had none under way then.
    private static async Task<IReadOnlyCollection<TimeSpan>> RoundAsync(ClusterLab lab, string name, int owner, Func<ClusterLab, int, Task> dieAsync)
    {
        ConcurrentDictionary<string, long> firsts = new(StringComparer.Ordinal);
        IReadOnlyCollection<SentMessage> sent;
        long died;
        await using var sink = Sink(lab.Nodes.Where(node => node.Index != owner), Note);
        await using (var silent = Sink([lab.Nodes[owner]], static (stage, _) => stage == SinkStage.Connect ? SinkAction.Hang : SinkAction.Accept))
        {
            sent = await QueueAsync(lab.Nodes[owner], name);
            await Deadline.UntilAsync(
                each => LabQueue.HasMetricAsync(lab.Nodes[owner], string.Create(CultureInfo.InvariantCulture, $"smtp_queue_owned {Messages}"), each),
                Limit,
                () => $"{lab.Nodes[owner].Name} does not own what it took\n{lab.Outputs}",
                Token);
            Assert.Empty(firsts);

            died = Stopwatch.GetTimestamp();
            await dieAsync(lab, owner);
            await sink.UntilDeliveredAsync(sent, Limit, Token);
            lab.Network.Heal();
        }

        if (!lab.Nodes[owner].IsRunning)
        {
            await lab.Nodes[owner].StartAsync();
        }

        await lab.UntilServingAsync(ClusterLab.SettleLimit, Token);
        await LabQueue.UntilEmptyAsync(lab, Limit, Token);
        var suspects = await LabQueue.SuspectsAsync(lab, Token);
        var verdict = MailLedger.Settle(sent, sink.Copies, suspects);
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{lab.Outputs}");

        var underWay = suspects.Select(suspect => suspect.QueueId).ToHashSet(StringComparer.Ordinal);
        TimeSpan[] waits = [.. sink.Copies.Where(copy => !underWay.Contains(copy.QueueId)).Select(copy => Stopwatch.GetElapsedTime(died, firsts[copy.Id]))];
        Assert.InRange(waits.Length, Messages - UnderWayMax, Messages);
        return waits;

        SinkAction Note(SinkStage stage, string argument)
        {
            if (stage == SinkStage.EndOfData)
            {
                firsts.TryAdd(argument, Stopwatch.GetTimestamp());
            }

            return SinkAction.Accept;
        }
    }

    private static async Task<IReadOnlyCollection<SentMessage>> QueueAsync(LabNode owner, string name)
    {
        var client = new LoadClient(new LoadPlan
        {
            Port = LabNode.SmtpPort,
            OpenSocket = owner.Host.OpenSocket,
            Name = name,
            Messages = Messages,
            MaximumRecipients = 1,
            Seed = CrashPlan.Seed,
        });
        await client.RunAsync(CancellationToken.None, Token);
        Assert.All(client.Sent, message => Assert.Equal(SendOutcome.Acknowledged, message.Outcome));
        return client.Sent;
    }

    private static SmtpSink Sink(IEnumerable<LabNode> nodes, Func<SinkStage, string, SinkAction> script)
    {
        var sink = new SmtpSink { Script = script };
        foreach (var node in nodes)
        {
            sink.Listen(node.Host.OpenSocket(), LabNode.SinkPort);
        }

        return sink;
    }
}
