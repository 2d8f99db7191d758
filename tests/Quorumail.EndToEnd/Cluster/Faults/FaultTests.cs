using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Cluster.State;
using Quorumail.EndToEnd.Crash;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>
/// Shared state of three real servers, each on a host of its own, through every kind of fault of <see cref="FaultTable"/>,
/// under load. Alone on the machine, for some faults must not cause an election.
/// </summary>
[Collection(QuietMachine.Name)]
public sealed class FaultTests(ITestOutputHelper output, SharedLab shared) : IClassFixture<SharedLab>
{
    private const int WarmUp = 30;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>All kinds that are not much like another one, or those that QUORUMAIL_FAULTS names, or <c>all</c>.</summary>
    public static TheoryData<string> Kinds => [.. (FaultTable.Chosen ?? FaultTable.All.Where(fault => !fault.IsVariant)).Select(fault => fault.Name)];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Nothing_acknowledged_is_lost_and_nobody_is_told_two_stories_through(string kind)
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        var fault = FaultTable.Of(kind);
        if (fault.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        var lab = await shared.TakeAsync(Token);
        var name = shared.NewName();
        var ledger = new StateLedger();
        var random = new Random((CrashPlan.Seed * 397) + FaultTable.All.TakeWhile(each => each != fault).Count());
        await using var workload = StateWorkload.Start(lab.Nodes, name, random.Next(), ledger);
        await UntilAcknowledgedAsync(ledger, WarmUp);
        var report = await new FaultRun(lab, ledger, random, Token).RunAsync([fault], fault.Lasts);
        await workload.StopAsync();
        output.WriteLine(report.ToString());
        var verdict = await SettleAsync(lab, ledger, name);
        output.WriteLine(verdict.ToString());
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{lab.Outputs}");
        shared.GiveBack();
    }

    [Fact]
    public async Task A_write_that_vanishes_behind_the_ledgers_back_turns_it_red()
    {
        var lab = await shared.TakeAsync(Token);
        var name = shared.NewName();
        var ledger = new StateLedger();
        await using var workload = StateWorkload.Start(lab.Nodes, name, CrashPlan.Seed, ledger);
        await UntilAcknowledgedAsync(ledger, WarmUp);
        await workload.StopAsync();
        var kept = ledger.Calls.First(call => call.IsAcknowledgedWrite && call.Operation.Key.StartsWith(StateLedger.OncePrefix, StringComparison.Ordinal));

        await lab.DeleteAllAsync(kept.Operation.Key, Token);

        var verdict = await SettleAsync(lab, ledger, name);
        Assert.False(verdict.IsGreen);
        Assert.Contains(kept.Operation.Key + " on node1", verdict.Lost);
        shared.GiveBack();
    }

    private static Task UntilAcknowledgedAsync(StateLedger ledger, int count) => Deadline.UntilAsync(
        () => ledger.Calls.Count(call => call.IsAcknowledgedWrite) >= count, Limit, () => "too few writes are acknowledged", Token);

    private static async Task<StateVerdict> SettleAsync(ClusterLab lab, StateLedger ledger, string name)
    {
        await lab.UntilConvergedAsync(Limit, Token);
        await lab.TellLeadersAsync(ledger, Token);
        return ledger.Settle(await lab.ReadAllAsync([StateLedger.OncePrefix + name + "/", "shared/" + name + "/"], Token), lab.Grace);
    }
}
