using System.Diagnostics;
using System.Globalization;
using System.Text;
using Quorumail.EndToEnd.Cluster.Faults;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Crash;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;

namespace Quorumail.EndToEnd.Cluster.Mail;

/// <summary>50 messages of 25 MB at once through three nodes: <c>./torture.sh large</c>.</summary>
[Collection(QuietMachine.Name)]
public sealed class LargeMailTests(ITestOutputHelper output)
{
    private const int Messages = 50;
    private const int Mebibytes = 25;
    private const int GrowthMaxMebibytes = 300;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact(Explicit = true)]
    public async Task Bodies_of_large_messages_delay_neither_heartbeats_nor_votes()
    {
        if (NetworkLab.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        await using var lab = await ClusterLab.StartAsync(3, LabTimers.Guide, CrashPlan.Seed, Token);
        var (leader, term) = await lab.LeaderAsync(Token);
        await using var mail = await MailWorkload.WithoutAsync(lab, Token);
        long[] before = [.. lab.Nodes.Select(Resident)];
        var began = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Messages).Select(i => Task.Run(() => SendAsync(lab.Nodes[i % lab.Nodes.Count], mail, i), Token)));
        var took = Stopwatch.GetElapsedTime(began);
        var growth = lab.Nodes.Select((node, i) => Peak(node) - before[i]).ToArray();
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{Messages} messages of {Mebibytes} MB in {took.TotalSeconds:0.0} s; resident memory of the nodes grew by {string.Join(", ", growth)} MB"));
        var verdict = await mail.SettleAsync(Token);
        output.WriteLine(verdict.ToString());
        Assert.True(verdict.IsGreen, $"{verdict}\n{lab.Outputs}");
        Assert.Equal((leader, term), await lab.LeaderAsync(Token));
        Assert.All(growth, grown => Assert.InRange(grown, 0, GrowthMaxMebibytes));
    }

    private static async Task SendAsync(LabNode node, MailWorkload mail, int number)
    {
        var id = string.Create(CultureInfo.InvariantCulture, $"large-{number}");
        var octets = Dots.Stuff(TestMessage.Random(id, Mebibytes << 20, new Random(number)).Content);
        using var client = await SmtpConversation.ConnectAsync(PlanFor(node), Token);
        await client.ReadReplyAsync(Token);
        await client.AskAsync("EHLO client.example", Token);
        await client.AskAsync("MAIL FROM:<sender@ledger.example> BODY=8BITMIME", Token);
        await client.AskAsync("RCPT TO:<r@sink.example>", Token);
        Assert.Equal(354, (await client.AskAsync("DATA", Token)).Code);
        await client.SendAsync(octets, Token);
        var reply = await client.ReadReplyAsync(Token);
        mail.Add(new SentMessage(id, ["r@sink.example"], reply.Code == 250 ? SendOutcome.Acknowledged : SendOutcome.Deferred, reply.ToString()));
    }

    private static long Resident(LabNode node) => StatusMebibytes(node, "VmRSS:");

    private static long Peak(LabNode node) => StatusMebibytes(node, "VmHWM:");

    private static long StatusMebibytes(LabNode node, string field) => long.Parse(
        File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{node.ProcessId}/status"), Encoding.ASCII)
            .Single(line => line.StartsWith(field, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
        CultureInfo.InvariantCulture) >> 10;

    private static LoadPlan PlanFor(LabNode node) => new() { Port = LabNode.SmtpPort, OpenSocket = node.Host.OpenSocket, Patience = Patience };
}
