using System.Diagnostics;
using System.Globalization;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Cluster.State;
using Quorumail.EndToEnd.Crash;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Faults drawn at random from the whole table, for as long as one likes: <c>./torture.sh --minutes N --seed S</c>.</summary>
[Collection(QuietMachine.Name)]
public sealed class TortureTests(ITestOutputHelper output)
{
    private const int FaultsPerChapter = 4;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly TortureLedger _sum = new();
    private readonly Random _random = new(CrashPlan.Seed);
    private readonly long _start = Stopwatch.GetTimestamp();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact(Explicit = true)]
    public async Task Shared_state_survives_random_faults()
    {
        Say(string.Create(CultureInfo.InvariantCulture, $"{TorturePlan.Nodes} nodes, {TorturePlan.Duration.TotalMinutes} minutes, seed {CrashPlan.Seed}"));
        if (NetworkLab.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        await using var lab = await ClusterLab.StartAsync(TorturePlan.Nodes, LabTimers.Guide, CrashPlan.Seed, Token);
        try
        {
            for (var chapter = 0; Stopwatch.GetElapsedTime(_start) < TorturePlan.Duration; chapter++)
            {
                await ChapterAsync(lab, string.Create(CultureInfo.InvariantCulture, $"t{chapter}"));
            }
        }
        finally
        {
            output.WriteLine(_sum.ToString());
        }
    }

    // Faults under load, then rest and settle; what was written is deleted, so that the store does not fill up.
    private async Task ChapterAsync(ClusterLab lab, string name)
    {
        var ledger = new StateLedger();
        await using var workload = StateWorkload.Start(lab.Nodes, name, _random.Next(), ledger);
        for (var i = 0; i < FaultsPerChapter && Stopwatch.GetElapsedTime(_start) < TorturePlan.Duration; i++)
        {
            var (faults, lasts) = FaultDraw.Next(_random);
            Say(string.Create(CultureInfo.InvariantCulture, $"{string.Join(" + ", faults)} for {lasts.TotalSeconds:0.0} s"));
            var report = await new FaultRun(lab, ledger, _random, Token).RunAsync(faults, lasts);
            _sum.Add(report);
            Say(report.ToString());
        }

        await workload.StopAsync();
        string[] prefixes = [StateLedger.OncePrefix + name + "/", "shared/" + name + "/"];
        await lab.UntilConvergedAsync(Limit, Token);
        await lab.TellLeadersAsync(ledger, Token);
        var verdict = ledger.Settle(await lab.ReadAllAsync(prefixes, Token), lab.Grace);
        _sum.Add(verdict, lab.Nodes.SelectMany(node => node.LeadersNoted()).Select(led => led.Term));
        Say(verdict.ToString());
        if (!verdict.IsGreen && Environment.GetEnvironmentVariable("QUORUMAIL_KEEP") is { Length: > 0 } place)
        {
            await lab.KeepAsync(place);
        }

        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{lab.Outputs}");
        foreach (var prefix in prefixes)
        {
            await lab.DeleteAllAsync(prefix, Token);
        }

        await lab.UntilConvergedAsync(Limit, Token);
        foreach (var node in lab.Nodes)
        {
            // What was deleted in earlier chapters has not come back either.
            Assert.Empty(await ClusterLab.KeysAsync(node, StateLedger.OncePrefix, Token));
        }
    }

    private void Say(string what) => output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(_start).TotalSeconds,6:0.0} s  {what}"));
}
