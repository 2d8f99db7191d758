using System.Globalization;
using Quorumail.EndToEnd.Cluster.Faults;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Crash;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Cluster.Mail;

/// <summary>
/// A node stands still in the middle of deliveries for longer than their results are waited for, and goes on when others have delivered its
/// mail. Its next hop holds back the greeting of some, the reply to RCPT of others and the reply to the final dot of the rest, and gives them
/// all when nobody waits any more.
/// </summary>
[Collection(QuietMachine.Name)]
public sealed class PausedOwnerTests(ITestOutputHelper output, SharedLabs labs)
{
    private const int OfEach = 3;
    private const string AtRecipient = "recipient";
    private const string AtDot = "dot";
    private const string AtGreeting = "greeting";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_node_that_goes_on_after_a_stop_sends_a_final_dot_only_where_it_had_leave_before_and_that_is_listed()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        var leader = labs.UseAsync((lab, name) => PassAsync(lab, name, ofLeader: true), Token);
        var follower = labs.UseAsync((lab, name) => PassAsync(lab, name, ofLeader: false), Token);
        output.WriteLine(await leader);
        output.WriteLine(await follower);
    }

    private static async Task<string> PassAsync(ClusterLab lab, string name, bool ofLeader)
    {
        var (leader, _) = await lab.LeaderAsync(Token);
        var owner = lab.Nodes[ofLeader ? leader : (leader + 1) % lab.Nodes.Count];
        var before = await LabQueue.SuspectsAsync(lab, Token);
        var next = new HoldingHop();
        await using var others = new SmtpSink();
        Listen(others, lab.Nodes.Where(node => node != owner));
        await using var own = new SmtpSink { Script = next.Decide };
        Listen(own, [owner]);

        List<SentMessage> sent = [.. await SendAsync(owner, $"{name}-{AtRecipient}", AtRecipient), .. await SendAsync(owner, $"{name}-{AtDot}", AtDot)];
        await Deadline.UntilAsync(() => next.HeldRecipients == OfEach && next.HeldDots == OfEach, Limit, () => $"not all is under way\n{lab.Outputs}", Token);
        next.HoldsGreetings = true;
        sent.AddRange(await SendAsync(owner, $"{name}-{AtGreeting}", AtGreeting));
        await Deadline.UntilAsync(() => next.HeldGreetings == OfEach, Limit, () => $"nobody waits for a greeting\n{lab.Outputs}", Token);

        owner.Send(Signal.Stop);
        try
        {
            await others.UntilDeliveredAsync(sent, Limit, Token);
            next.Release();
        }
        finally
        {
            owner.Send(Signal.Continue);
        }

        // What it sends now comes after whatever it was about to send.
        await lab.UntilServingAsync(ClusterLab.SettleLimit, Token);
        sent.AddRange(await SendAsync(owner, $"{name}-after", "after"));
        await own.UntilDeliveredAsync(sent.TakeLast(OfEach), Limit, Token);
        await LabQueue.UntilEmptyAsync(lab, Limit, Token);

        ListedSuspect[] suspects = [.. (await LabQueue.SuspectsAsync(lab, Token)).Except(before)];
        var verdict = MailLedger.Settle(sent, [.. own.Copies, .. others.Copies], suspects, new SuspectCauses(own.Unanswered, OwnersLost: true));
        var late = own.Copies.Count(copy => copy.Recipient.StartsWith(AtRecipient, StringComparison.Ordinal));
        var said = string.Create(CultureInfo.InvariantCulture, $"{owner.Name}{(ofLeader ? ", the leader," : "")} stood still: {late} final dots after it, {suspects.Length} listed; {verdict}");
        Assert.True(verdict.IsGreen, $"{said}\n{lab.Outputs}");
        Assert.DoesNotContain(own.Copies, copy => copy.Recipient.StartsWith(AtGreeting, StringComparison.Ordinal));
        Assert.DoesNotContain(suspects, suspect => suspect.Recipient.StartsWith(AtGreeting, StringComparison.Ordinal));
        Assert.Equal(OfEach, verdict.DuplicateListed.Count(line => line.Contains(AtDot + "@", StringComparison.Ordinal)));
        Assert.All(sent.SkipLast(OfEach), message => Assert.Single(others.Copies, copy => copy.Id == message.Id));
        return said;
    }

    private static async Task<IReadOnlyCollection<SentMessage>> SendAsync(LabNode owner, string name, string recipient)
    {
        var client = new LoadClient(new LoadPlan
        {
            Port = LabNode.SmtpPort,
            OpenSocket = owner.Host.OpenSocket,
            Name = name,
            Sessions = 1,
            Messages = OfEach,
            MaximumRecipients = 1,
            Recipient = _ => $"{recipient}@sink.example",
            Seed = CrashPlan.Seed,
        });
        await client.RunAsync(CancellationToken.None, Token);
        Assert.All(client.Sent, message => Assert.Equal(SendOutcome.Acknowledged, message.Outcome));
        return client.Sent;
    }

    private static void Listen(SmtpSink sink, IEnumerable<LabNode> nodes)
    {
        foreach (var node in nodes)
        {
            sink.Listen(node.Host.OpenSocket(), LabNode.SinkPort);
        }
    }

    /// <summary>The script of a next hop that holds its replies back.</summary>
    private sealed class HoldingHop
    {
        private readonly TaskCompletionSource _release = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _heldGreetings;
        private int _heldRecipients;
        private int _heldDots;

        public bool HoldsGreetings { get; set; }

        public int HeldGreetings => Volatile.Read(ref _heldGreetings);

        public int HeldRecipients => Volatile.Read(ref _heldRecipients);

        public int HeldDots => Volatile.Read(ref _heldDots);

        public void Release() => _release.TrySetResult();

        public SinkAction Decide(SinkStage stage, string argument) => stage switch
        {
            SinkStage.Connect when HoldsGreetings => Hold(ref _heldGreetings),
            SinkStage.Recipient when argument.StartsWith(AtRecipient, StringComparison.Ordinal) => Hold(ref _heldRecipients),
            SinkStage.EndOfData when argument.Contains($"-{AtDot}-", StringComparison.Ordinal) => Hold(ref _heldDots),
            _ => SinkAction.Accept,
        };

        private SinkAction Hold(ref int count)
        {
            Interlocked.Increment(ref count);
            return SinkAction.Hold(_release.Task);
        }
    }
}
