using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Cluster.State;
using Quorumail.EndToEnd.Crash;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>
/// Shared state of three real servers, each on a host of its own, through every kind of fault of <see cref="FaultTable"/>,
/// under load. No other test runs meanwhile, for some faults must not cause an election; of the kinds, two do.
/// </summary>
[Collection(QuietMachine.Name)]
public sealed class FaultTests(ITestOutputHelper output, SharedLabs labs)
{
    private const int WarmUp = 30;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>All kinds that are not much like another one, or those that QUORUMAIL_FAULTS names, or <c>all</c>.</summary>
    public static TheoryData<string> Kinds => [.. Chosen.Select(fault => fault.Name)];

    private static IEnumerable<Fault> Chosen => FaultTable.Chosen ?? FaultTable.All.Where(fault => !fault.IsVariant);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Nothing_acknowledged_is_lost_and_nobody_is_told_two_stories_through(string kind)
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        output.WriteLine(await labs.CaseAsync(nameof(FaultTests), Chosen, FaultTable.Of(kind), (fault, lab, name) => PassAsync(fault, lab, name, Token), Token));
    }

    [Fact]
    public async Task A_write_that_vanishes_behind_the_ledgers_back_turns_it_red()
    {
        await labs.UseAsync(VanishAsync, Token);

        static async Task<string> VanishAsync(ClusterLab lab, string name)
        {
            var ledger = new StateLedger();
            await using var workload = StateWorkload.Start(lab.Nodes, name, CrashPlan.Seed, ledger);
            await UntilAcknowledgedAsync(ledger, WarmUp, Token);
            await workload.StopAsync();
            var kept = ledger.Calls.First(call => call.IsAcknowledgedWrite && call.Operation.Key.StartsWith(StateLedger.OncePrefix, StringComparison.Ordinal));

            await lab.DeleteAllAsync(kept.Operation.Key, Token);

            var verdict = await SettleAsync(lab, ledger, name, Token);
            Assert.False(verdict.IsGreen);
            Assert.Contains(kept.Operation.Key + " on node1", verdict.Lost);
            return verdict.ToString();
        }
    }

    private static async Task<string> PassAsync(Fault fault, ClusterLab lab, string name, CancellationToken token)
    {
        var ledger = new StateLedger();
        var random = new Random((CrashPlan.Seed * 397) + FaultTable.All.TakeWhile(each => each != fault).Count());
        await using var workload = StateWorkload.Start(lab.Nodes, name, random.Next(), ledger);
        await UntilAcknowledgedAsync(ledger, WarmUp, token);
        var report = await new FaultRun(lab, ledger, random, token).RunAsync([fault], fault.Lasts);
        await workload.StopAsync();
        var verdict = await SettleAsync(lab, ledger, name, token);
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {report}\n{verdict}\n{lab.Outputs}");
        return $"{report}\n{verdict}";
    }

    private static Task UntilAcknowledgedAsync(StateLedger ledger, int count, CancellationToken token) => Deadline.UntilAsync(
        () => ledger.Calls.Count(call => call.IsAcknowledgedWrite) >= count, Limit, () => "too few writes are acknowledged", token);

    private static async Task<StateVerdict> SettleAsync(ClusterLab lab, StateLedger ledger, string name, CancellationToken token)
    {
        await lab.UntilConvergedAsync(Limit, token);
        await lab.TellLeadersAsync(ledger, token);
        return ledger.Settle(await lab.ReadAllAsync([StateLedger.OncePrefix + name + "/", "shared/" + name + "/"], token), lab.Grace);
    }
}
