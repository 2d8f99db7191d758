using System.Diagnostics;
using System.Globalization;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Makes faults under load, waits until the cluster is well again, and sees to what each fault must not do.</summary>
internal sealed class FaultRun(ClusterLab lab, ClientRecord record, Random random, CancellationToken token)
{
    /// <summary>Makes these faults at once for a while; clients must be at work.</summary>
    public async Task<FaultReport> RunAsync(IReadOnlyList<Fault> faults, TimeSpan lasts)
    {
        if (faults.Any(fault => fault.TakesDisk))
        {
            await lab.UntilCopiedAsync(ClusterLab.SettleLimit, token);
        }

        var (leader, term) = await lab.LeaderAsync(token);
        if (!faults.All(fault => fault.LosesNobody))
        {
            record.MayLoseOwners();
        }

        FaultScene[] scenes = [.. faults.Select(_ => new FaultScene(lab, record, leader, random, token))];
        var began = Stopwatch.GetTimestamp();
        long happened;
        long ends;
        try
        {
            for (var i = 0; i < faults.Count; i++)
            {
                await faults[i].BeginAsync(scenes[i]);
            }

            happened = Stopwatch.GetTimestamp();
            await Task.Delay(lasts, token);
        }
        finally
        {
            ends = Stopwatch.GetTimestamp();
            record.EndIsolations();
            foreach (var scene in scenes.Reverse())
            {
                await scene.EndAsync();
            }
        }

        var ended = Stopwatch.GetTimestamp();
        await lab.UntilServingAsync(ClusterLab.SettleLimit, token);
        await UntilAllAcknowledgeAsync();
        var (_, after) = await lab.LeaderAsync(token);
        var now = Stopwatch.GetTimestamp();
        var report = new FaultReport
        {
            Name = string.Join(" + ", faults.Select(fault => fault.Name)),
            IsStop = faults.Count > 1 || faults.Any(fault => fault.StopsAll), // Two at once may leave no majority.
            Gap = record.LongestGap(began, now),
            Takeover = after == term ? null : record.FirstAcknowledged(happened, node => node != leader),
            Recovery = Stopwatch.GetElapsedTime(ended, now),
            Terms = (term, after),
        };
        if (faults is [var only])
        {
            Check(only, report, record.LongestGap(began, ends));
        }

        return report;
    }

    // A write that was asked for after the fault, through each node.
    private async Task UntilAllAcknowledgeAsync()
    {
        var healed = Stopwatch.GetTimestamp();
        foreach (var node in lab.Nodes)
        {
            await Deadline.UntilAsync(
                () => record.FirstAcknowledged(healed, each => each == node.Index) is not null,
                ClusterLab.SettleLimit,
                () => $"{node.Name} acknowledges nothing.\n{lab.Outputs}",
                token);
        }
    }

    private void Check(Fault fault, FaultReport report, TimeSpan gapMeanwhile)
    {
        if (fault.KeepsLeader && report.Terms.Before != report.Terms.After)
        {
            Assert.Fail($"{report}: there must be no election.\n{lab.Outputs}");
        }

        if (!fault.StopsAll && gapMeanwhile > fault.GapMax)
        {
            Assert.Fail(string.Create(CultureInfo.InvariantCulture, $"{report}: nothing was acknowledged for {gapMeanwhile.TotalSeconds:0.00} s meanwhile, at most {fault.GapMax.TotalSeconds:0} s are allowed.\n{lab.Outputs}"));
        }
    }
}
