using System.Diagnostics;
using Quorumail.EndToEnd.Cluster.Faults;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Crash;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Cluster.Mail;

/// <summary>Mail through some of the faults of <see cref="FaultTable"/>; through all of them, at random: <see cref="MailTortureTests"/>.</summary>
[Collection(QuietMachine.Name)]
public sealed class MailFaultTests(ITestOutputHelper output, SharedLab shared) : IClassFixture<SharedLab>
{
    private const int WarmUp = 20;
    private const string Recipient = "r@sink.example";

    private static readonly byte[] FinalDot = ".\r\n"u8.ToArray();

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    /// <summary>A death, a silence, and the end of all power; or those that QUORUMAIL_FAULTS names.</summary>
    public static TheoryData<string> Kinds => [.. FaultTable.Chosen?.Select(fault => fault.Name) ?? ["kill-leader", "leader-cut-off", "power-all"]];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_was_answered_250_arrives_once_or_is_listed_through(string kind)
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        var fault = FaultTable.Of(kind);
        if (fault.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        var lab = await shared.TakeAsync(Token);
        var random = new Random((CrashPlan.Seed * 397) + FaultTable.All.TakeWhile(each => each != fault).Count());
        await using var mail = MailWorkload.Start(lab, shared.NewName(), random.Next(), new SinkTrouble(random.Next()).Decide, Token);
        await mail.UntilAcknowledgedAsync(WarmUp, Limit, Token);
        var report = await new FaultRun(lab, mail, random, Token).RunAsync([fault], fault.Lasts);
        await mail.StopAsync();
        output.WriteLine(report.ToString());
        output.WriteLine(mail.Summary());
        var verdict = await mail.SettleAsync(Token);
        output.WriteLine(verdict.ToString());
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{lab.Outputs}");
        Assert.Empty(mail.LateAnswers(lab.Grace));
        shared.GiveBack();
    }

    [Fact]
    public async Task A_majority_lost_at_the_final_dot_and_a_client_that_sends_again_make_one_delivery_or_one_that_is_listed()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        var lab = await shared.TakeAsync(Token);
        await using var mail = MailWorkload.Without(lab, Token);
        var random = new Random(CrashPlan.Seed);
        var node = lab.Nodes[random.Next(lab.Nodes.Count)];
        var message = TestMessage.Random(shared.NewName(), 5000, random);
        var octets = Dots.Stuff(message.Content);
        using (var client = await SmtpConversation.ConnectAsync(PlanFor(node), Token))
        {
            await BeginAsync(client);
            await client.SendAsync(octets.AsMemory(..^FinalDot.Length), Token);
            lab.Network.ChangeAll(link => link with { IsCut = true });
            var cut = Stopwatch.StartNew();
            await client.SendAsync(FinalDot, Token);
            var reply = await client.ReadReplyAsync(Token);
            output.WriteLine($"{node.Name} after {cut.Elapsed.TotalSeconds:0.0} s: {reply}");
            Assert.Equal(451, reply.Code);
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
        output.WriteLine(verdict.ToString());
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{lab.Outputs}");
        shared.GiveBack();
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
