using System.Diagnostics;
using System.Globalization;

namespace Quorumail.Simulation;

/// <summary>
/// Seeded runs of queue and delivery, of one node and of a cluster. A failing seed is run again, with its whole trace, by
/// <c>QUORUMAIL_SEED=n dotnet run --project tests/Quorumail.Simulation</c> (of a cluster: <c>QUORUMAIL_CLUSTER_SEED</c>);
/// <c>QUORUMAIL_SEEDS</c> sets how many are run.
/// </summary>
public sealed class SimulationTests
{
    private const int DefaultSeeds = 1500;
    private const int DefaultClusterSeeds = 1000;

    private static ITestOutputHelper? Output => TestContext.Current.TestOutputHelper;

    [Fact]
    public void Every_promise_holds_whatever_fails()
    {
        var only = Environment.GetEnvironmentVariable("QUORUMAIL_SEED");
        var first = only is null ? 1 : int.Parse(only, CultureInfo.InvariantCulture);
        var count = only is not null ? 1
            : int.TryParse(Environment.GetEnvironmentVariable("QUORUMAIL_SEEDS"), CultureInfo.InvariantCulture, out var n) ? n : DefaultSeeds;
        var watch = Stopwatch.StartNew();
        long steps = 0, crashes = 0, doubts = 0, deliveries = 0;
        for (var seed = first; seed < first + count; seed++)
        {
            var world = new World(seed, keepTrace: only is not null);
            var broken = world.Run();
            foreach (var line in world.Simulator.Trace)
            {
                Output?.WriteLine(line);
            }

            Assert.True(broken is null, $"seed {seed}: {broken}; QUORUMAIL_SEED={seed} shows its trace");
            steps += world.Simulator.Steps;
            crashes += world.Crashes;
            doubts += world.Oracle.Doubts;
            deliveries += world.Oracle.Deliveries;
        }

        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"seeds {first} to {first + count - 1}: {steps} steps, {crashes} crashes, {deliveries} deliveries, {doubts} listed, {watch.Elapsed.TotalSeconds:F1} s");
        Output?.WriteLine(text);
        Console.WriteLine(text);
        Assert.True(only is not null || (crashes > count && doubts > count / 2 && deliveries > count), "the runs meet faults: " + text);
    }

    [Fact]
    public void Every_promise_holds_in_a_cluster_whatever_fails()
    {
        var only = Environment.GetEnvironmentVariable("QUORUMAIL_CLUSTER_SEED");
        var first = only is null ? 1 : int.Parse(only, CultureInfo.InvariantCulture);
        var count = only is not null ? 1
            : int.TryParse(Environment.GetEnvironmentVariable("QUORUMAIL_SEEDS"), CultureInfo.InvariantCulture, out var n) ? n : DefaultClusterSeeds;
        var watch = Stopwatch.StartNew();
        long steps = 0, crashes = 0, wipes = 0, stops = 0, changes = 0, doubts = 0, deliveries = 0;
        for (var seed = first; seed < first + count; seed++)
        {
            var world = new ClusterWorld(seed, keepTrace: only is not null);
            var broken = world.Run();
            foreach (var line in world.Simulator.Trace)
            {
                Output?.WriteLine(line);
            }

            Assert.True(broken is null, $"seed {seed}: {broken}; QUORUMAIL_CLUSTER_SEED={seed} shows its trace");
            steps += world.Simulator.Steps;
            crashes += world.Crashes;
            wipes += world.Wipes;
            stops += world.Stops;
            changes += world.Changes;
            doubts += world.Oracle.Doubts;
            deliveries += world.Oracle.Deliveries;
        }

        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"clusters {first} to {first + count - 1}: {steps} steps, {crashes} crashes, {wipes} disks lost, {stops} stops, {changes} joined or left, {deliveries} deliveries, {doubts} listed, {watch.Elapsed.TotalSeconds:F1} s");
        Output?.WriteLine(text);
        Console.WriteLine(text);
        Assert.True(
            only is not null || (crashes > count && wipes > count / 4 && stops > count && changes > count && doubts > count / 2 && deliveries > count),
            "the runs meet faults: " + text);
    }

    [Fact]
    public void The_same_seed_gives_the_same_run()
    {
        for (var seed = 1; seed <= 20; seed++)
        {
            var (first, second) = (new World(seed), new World(seed));
            first.Run();
            second.Run();
            Assert.Equal(first.Simulator.TraceHash, second.Simulator.TraceHash);
        }

        Assert.Equal(20, Enumerable.Range(1, 20).Select(Hash).Distinct().Count());
        var (one, other) = (new ClusterWorld(1), new ClusterWorld(1));
        one.Run();
        other.Run();
        Assert.Equal(one.Simulator.TraceHash, other.Simulator.TraceHash);

        static ulong Hash(int seed)
        {
            var world = new World(seed);
            world.Run();
            return world.Simulator.TraceHash;
        }
    }

    [Theory]
    [InlineData(PlantedFault.AcknowledgesBeforeCommit, "acknowledged")]
    [InlineData(PlantedFault.EnqueuesBeforeFsync, "body is durable")]
    [InlineData(PlantedFault.SendsDotWithoutStart, "no final dot without an accepted start")]
    [InlineData(PlantedFault.ForgetsDoubt, "delivered twice only if it is listed")]
    [InlineData(PlantedFault.DeletesBodyEarly, "is deleted only when Apply has released it")]
    [InlineData(PlantedFault.ForgetsItsRestart, "all comes to its end")]
    [InlineData(PlantedFault.ForgetsToWithdraw, "refused and delivered all the same, so it is listed")]
    [InlineData(PlantedFault.LosesNotices, "hears that it failed")]
    public void A_planted_fault_is_found(PlantedFault fault, string promise)
    {
        for (var seed = 1; seed <= 200; seed++)
        {
            if (new World(seed, fault).Run() is { } broken)
            {
                Output?.WriteLine($"{fault}: seed {seed}: {broken}");
                Assert.Contains(promise, broken, StringComparison.Ordinal);
                return;
            }
        }

        Assert.Fail($"{fault} was not found");
    }

    [Theory]
    [InlineData(PlantedFault.ClaimsCopies, "body is durable")]
    [InlineData(PlantedFault.KeepsItsLife, "all comes to its end")]
    [InlineData(PlantedFault.MissesMoves, "all comes to its end")]
    [InlineData(PlantedFault.MissesResumes, "all comes to its end")]
    [InlineData(PlantedFault.NeverGivesUp, "is given up when its time has come")]
    [InlineData(PlantedFault.WaitsForNoSlowDisk, "body is durable")]
    [InlineData(PlantedFault.NeverCopiesAgain, "all comes to its end")]
    [InlineData(PlantedFault.DeliversByItsWallClock, "is not tried again before its time")]
    [InlineData(PlantedFault.StampsByItsWallClock, "time")]
    [InlineData(PlantedFault.IgnoresStamps, "cluster time never falls")]
    [InlineData(PlantedFault.ForgetsWhatItLacks, "body is durable")]
    [InlineData(PlantedFault.SendsDotWithoutStart, "no final dot without an accepted start")]
    [InlineData(PlantedFault.ForgetsDoubt, "delivered twice only if it is listed")]
    public void A_planted_fault_of_a_cluster_is_found(PlantedFault fault, string promise)
    {
        for (var seed = 1; seed <= 200; seed++)
        {
            if (new ClusterWorld(seed, fault).Run() is { } broken)
            {
                Output?.WriteLine($"{fault}: seed {seed}: {broken}");
                Assert.Contains(promise, broken, StringComparison.Ordinal);
                return;
            }
        }

        Assert.Fail($"{fault} was not found");
    }
}
