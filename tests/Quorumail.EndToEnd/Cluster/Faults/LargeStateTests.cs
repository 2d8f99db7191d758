using System.Diagnostics;
using System.Globalization;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Cluster.State;
using Quorumail.EndToEnd.Crash;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>As much shared state as there may be (256 MiB), on real servers: <c>./torture.sh snapshot</c>.</summary>
[Collection(QuietMachine.Name)]
public sealed class LargeStateTests(ITestOutputHelper output)
{
    private const int ValueBytes = 256 << 10;
    private const int Writers = 4;
    private const int Full = 507;

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact(Explicit = true)]
    public async Task A_follower_with_an_empty_disk_fetches_a_full_store_while_writes_go_on()
    {
        if (NetworkLab.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        await using var lab = await ClusterLab.StartAsync(3, LabTimers.Guide, CrashPlan.Seed, Token);
        var (leader, term) = await lab.LeaderAsync(Token);
        var filling = Stopwatch.StartNew();
        var written = await FillAsync(lab.Nodes[leader]);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{written} values of 256 KiB ({written / 4} MiB) written in {filling.Elapsed.TotalSeconds:0.0} s, then 507"));
        // Room for what the clients write meanwhile.
        await lab.DeleteAllAsync("bulk/0-1", Token);

        var ledger = new StateLedger();
        await using var workload = StateWorkload.Start(lab.Nodes, "large", CrashPlan.Seed, ledger);
        var wiped = lab.Nodes[(leader + 1) % lab.Nodes.Count];
        await wiped.KillAsync();
        wiped.Wipe();
        var began = Stopwatch.GetTimestamp();
        await wiped.StartAsync();
        await lab.UntilServingAsync(Limit, Token);
        var took = Stopwatch.GetElapsedTime(began);
        var gap = ledger.LongestGap(began, Stopwatch.GetTimestamp());
        await workload.StopAsync();
        var (_, after) = await lab.LeaderAsync(Token);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"the empty node served after {took.TotalSeconds:0.0} s; longest gap in acknowledged writes {gap.TotalSeconds:0.00} s, term {term} -> {after}"));

        await lab.UntilConvergedAsync(Limit, Token);
        var verdict = ledger.Settle(await lab.ReadAllAsync([StateLedger.OncePrefix, "shared/"], Token), lab.Grace);
        output.WriteLine(verdict.ToString());
        Assert.True(verdict.IsGreen, verdict.ToString());
        Assert.Equal(term, after);
        Assert.Equal(await ClusterLab.KeysAsync(lab.Nodes[leader], "bulk/", Token), await ClusterLab.KeysAsync(wiped, "bulk/", Token));
        Assert.True(gap < lab.Timers.ElectionUpper, $"nothing was acknowledged for {gap}");
    }

    private static async Task<int> FillAsync(LabNode node)
    {
        var written = await Task.WhenAll(Enumerable.Range(0, Writers).Select(async writer =>
        {
            var value = new byte[ValueBytes];
            new Random(writer).NextBytes(value);
            using var connection = new StateConnection(node.Host, LabNode.HttpPort);
            for (var i = 0; ; i++)
            {
                var target = string.Create(CultureInfo.InvariantCulture, $"/api/cluster/state/bulk/{writer}-{i}");
                var answer = await connection.AskAsync("PUT", target, value, null, Limit, Token);
                if (answer.Status == Full)
                {
                    return i;
                }

                Assert.True(answer.Status == 200, string.Create(CultureInfo.InvariantCulture, $"{answer.Status} after {i} values"));
            }
        }));
        return written.Sum();
    }
}
