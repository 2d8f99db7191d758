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

/// <summary>Mail through some of the faults of <see cref="FaultTable"/>; through all of them, at random: <see cref="MailTortureTests"/>.</summary>
[Collection(QuietMachine.Name)]
public sealed class MailFaultTests(ITestOutputHelper output, SharedLabs labs)
{
    private const int WarmUp = 20;
    private const string Recipient = "r@sink.example";

    private static readonly byte[] FinalDot = ".\r\n"u8.ToArray();

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    // An election, and no more.
    private static readonly TimeSpan FailedDiskGapMax = TimeSpan.FromSeconds(4);

    /// <summary>A death, a silence, the end of all power, a disk that fails and one that is slow; or those that QUORUMAIL_FAULTS names.</summary>
    public static TheoryData<string> Kinds => [.. Chosen.Select(fault => fault.Name)];

    private static IEnumerable<Fault> Chosen => FaultTable.Chosen ?? new[] { "kill-leader", "leader-cut-off", "power-all", "eio-leader", "slow-fsync" }.Select(FaultTable.Of);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_was_answered_250_arrives_once_or_is_listed_through(string kind)
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        output.WriteLine(await labs.CaseAsync(nameof(MailFaultTests), Chosen, FaultTable.Of(kind), (fault, lab, name) => PassAsync(fault, lab, name, Token), Token));
    }

    [Fact]
    public async Task A_majority_lost_at_the_final_dot_and_a_client_that_sends_again_make_one_delivery_or_one_that_is_listed()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        output.WriteLine(await labs.UseAsync(LoseMajorityAsync, Token));
    }

    [Fact]
    public async Task A_leader_whose_disk_fails_leads_no_more_however_long_it_takes_to_stop()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        if (PreloadedLibrary.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        output.WriteLine(await labs.UseAsync(FailDiskAsync, Token));
    }

    private static async Task<string> PassAsync(Fault fault, ClusterLab lab, string name, CancellationToken token)
    {
        var random = new Random((CrashPlan.Seed * 397) + FaultTable.All.TakeWhile(each => each != fault).Count());
        await using var mail = await MailWorkload.StartAsync(lab, name, random.Next(), new SinkTrouble(random.Next()).Decide, token);
        await mail.UntilAcknowledgedAsync(WarmUp, Limit, token);
        var report = await new FaultRun(lab, mail, random, token).RunAsync([fault], fault.Lasts);
        await mail.StopAsync();
        var verdict = await mail.SettleAsync(token);
        var said = $"{report}\n{mail.Summary()}\n{verdict}";
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {said}\n{lab.Outputs}");
        Assert.Empty(mail.LateAnswers(lab.Grace));
        return said;
    }

    // Deliveries of the leader's are under way, which the stop waits for.
    private static async Task<string> FailDiskAsync(ClusterLab lab, string name)
    {
        var (leader, _) = await lab.LeaderAsync(Token);
        var node = lab.Nodes[leader];
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var mail = await MailWorkload.StartAsync(
            lab, name, CrashPlan.Seed, (stage, id) => stage == SinkStage.EndOfData && id.Contains(node.Name, StringComparison.Ordinal) ? SinkAction.Hold(release.Task) : SinkAction.Accept, Token);
        await mail.UntilAcknowledgedAsync(WarmUp, Limit, Token);
        mail.MayLoseOwners();
        var failed = Stopwatch.GetTimestamp();
        node.Syncs!.Fail(DiskFaults.InputOutputError);
        try
        {
            Assert.Equal(DiskFaults.DiskFailed, await node.ExitAsync(Limit, Token));
            await Deadline.UntilAsync(() => mail.FirstAcknowledged(failed, by => by != leader) is not null, Limit, () => $"nothing is acknowledged\n{lab.Outputs}", Token);
        }
        finally
        {
            node.Syncs.End();
            release.TrySetResult();
        }

        var gap = mail.LongestGap(failed, Stopwatch.GetTimestamp());
        await node.StartAsync();
        await lab.UntilServingAsync(ClusterLab.SettleLimit, Token);
        await mail.StopAsync();
        var verdict = await mail.SettleAsync(Token);
        var said = string.Create(CultureInfo.InvariantCulture, $"longest time without a 250 when the disk of {node.Name}, the leader, failed: {gap.TotalSeconds:0.0} s\n{mail.Summary()}\n{verdict}");
        Assert.True(verdict.IsGreen && gap < FailedDiskGapMax, $"{said}\n{lab.Outputs}");
        return said;
    }

    private static async Task<string> LoseMajorityAsync(ClusterLab lab, string name)
    {
        await using var mail = await MailWorkload.WithoutAsync(lab, Token);
        var random = new Random(CrashPlan.Seed);
        var node = lab.Nodes[random.Next(lab.Nodes.Count)];
        var message = TestMessage.Random(name, 5000, random);
        var octets = Dots.Stuff(message.Content);
        string said;
        using (var client = await SmtpConversation.ConnectAsync(PlanFor(node), Token))
        {
            await BeginAsync(client);
            await client.SendAsync(octets.AsMemory(..^FinalDot.Length), Token);
            lab.Network.ChangeAll(link => link with { IsCut = true });
            var cut = Stopwatch.StartNew();
            await client.SendAsync(FinalDot, Token);
            var reply = await client.ReadReplyAsync(Token);
            said = $"{node.Name} after {cut.Elapsed.TotalSeconds:0.0} s: {reply}";
            Assert.True(reply.Code == 451, said);
            await Task.Delay(TimeSpan.FromSeconds(Math.Max(0, 12 - cut.Elapsed.TotalSeconds)), Token);
        }

        lab.Network.Heal();
        await lab.UntilServingAsync(ClusterLab.SettleLimit, Token);
        using (var client = await SmtpConversation.ConnectAsync(PlanFor(node), Token))
        {
            await BeginAsync(client);
            await client.SendAsync(octets, Token);
            Assert.Equal(250, (await client.ReadReplyAsync(Token)).Code);
        }

        mail.Add(new SentMessage(message.Id, [Recipient], SendOutcome.Acknowledged, "250"));
        var verdict = await mail.SettleAsync(Token);
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {said}\n{verdict}\n{lab.Outputs}");
        return $"{said}\n{verdict}";
    }

    private static async Task BeginAsync(SmtpConversation client)
    {
        Assert.Equal(220, (await client.ReadReplyAsync(Token)).Code);
        Assert.Equal(250, (await client.AskAsync("EHLO client.example", Token)).Code);
        Assert.Equal(250, (await client.AskAsync("MAIL FROM:<sender@ledger.example> BODY=8BITMIME", Token)).Code);
        Assert.Equal(250, (await client.AskAsync($"RCPT TO:<{Recipient}>", Token)).Code);
        Assert.Equal(354, (await client.AskAsync("DATA", Token)).Code);
    }

    private static LoadPlan PlanFor(LabNode node) => new() { Port = LabNode.SmtpPort, OpenSocket = node.Host.OpenSocket, Patience = Limit };
}
