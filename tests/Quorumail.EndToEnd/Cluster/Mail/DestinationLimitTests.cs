using System.Diagnostics;
using System.Globalization;
using Quorumail.EndToEnd.Cluster.Faults;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Crash;

namespace Quorumail.EndToEnd.Cluster.Mail;

/// <summary>
/// A next hop that two connections are allowed to, from five nodes, through faults of the network between them and the end of their
/// processes: it never sees a third. QUORUMAIL_MINUTES says for how long; by default one fault is made. QUORUMAIL_FAULTS says which.
/// </summary>
[Collection(QuietMachine.Name)]
public sealed class DestinationLimitTests(ITestOutputHelper output)
{
    private const int Nodes = 5;
    private const int Allowed = 2;

    // Whose process ends has no connections any more; whose stands still, has.
    private static readonly string[] OfProcesses = ["kill-leader", "kill-follower", "kill-all", "rolling-restart", "transfer"];

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Lasts = TimeSpan.FromSeconds(3);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_next_hop_that_two_connections_are_allowed_to_never_sees_a_third_from_five_nodes()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        if (NetworkLab.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        var random = new Random(CrashPlan.Seed);
        var lasts = Environment.GetEnvironmentVariable("QUORUMAIL_MINUTES") is null ? TimeSpan.Zero : TorturePlan.Duration;
        var kinds = (FaultTable.Chosen ?? FaultTable.All.Where(MayBeMade)).Where(fault => fault.Obstacle() is null).ToArray();
        await using var lab = await ClusterLab.StartAsync(
            Nodes, LabTimers.Guide, CrashPlan.Seed, string.Create(CultureInfo.InvariantCulture, $"max_connections = {Allowed}"), Token);
        var began = Stopwatch.GetTimestamp();
        var chapter = 0;
        do
        {
            await using var mail = await MailWorkload.StartAsync(lab, string.Create(CultureInfo.InvariantCulture, $"two{chapter++}"), random.Next(), sessions: 1, Token);
            await mail.UntilAcknowledgedAsync(10, Limit, Token);
            var fault = kinds[random.Next(kinds.Length)];
            var report = await new FaultRun(lab, mail, random, Token).RunAsync([fault], Lasts);
            await mail.StopAsync();
            var verdict = await mail.SettleAsync(Token);
            output.WriteLine($"{report}\n{mail.Summary()}\n{verdict}");
            Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{lab.Outputs}");
            Assert.True(mail.MostConnections <= Allowed, $"seed {CrashPlan.Seed}: {report}: {mail.MostConnections} connections at once\n{lab.Outputs}");
            Assert.True(mail.Acknowledged > 0);
        }
        while (Stopwatch.GetElapsedTime(began) < lasts);
    }

    private static bool MayBeMade(Fault fault) => fault.IsOfNetwork ? !fault.StopsAll : OfProcesses.Contains(fault.Name, StringComparer.Ordinal);
}
