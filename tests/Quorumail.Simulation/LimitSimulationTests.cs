using System.Diagnostics;
using System.Globalization;

namespace Quorumail.Simulation;

/// <summary>Seeded runs of the cluster's limits.</summary>
public sealed class LimitSimulationTests
{
    private const int Seeds = 150;

    [Fact]
    public void Nobody_ever_sees_more_than_the_capacity()
    {
        var watch = Stopwatch.StartNew();
        var (steps, used) = (0L, 0);
        for (var seed = 1; seed <= Seeds; seed++)
        {
            var world = new LimitWorld(seed);
            var broken = world.Run();
            Assert.True(broken is null, $"seed {seed}: {broken}");
            steps += world.Simulator.Steps;
            used += world.UsedOf("rate", "a").Count(n => n > LimitWorld.Capacity / 2);
        }

        var text = string.Create(
            CultureInfo.InvariantCulture, $"limits 1 to {Seeds}: {steps} steps, {used} windows used by more than half, {watch.Elapsed.TotalSeconds:F1} s");
        TestContext.Current.TestOutputHelper?.WriteLine(text);
        Console.WriteLine(text);
        Assert.True(used > Seeds, "limits are used though there are faults: " + text);
    }

    [Fact]
    public void Without_faults_the_whole_capacity_is_used()
    {
        for (var seed = 1; seed <= 20; seed++)
        {
            var world = new LimitWorld(seed, isFaulty: false);
            Assert.Null(world.Run());
            Assert.All(world.UsedOf("rate", "a"), used => Assert.Equal(LimitWorld.Capacity, used));
            Assert.True(world.UsedOf("rate", "a").Count() > 6);
            Assert.All(world.UsedOf("shared-rate", "a"), used => Assert.Equal(LimitWorld.Capacity, used));
        }
    }

    [Theory]
    [InlineData(LimitFault.UsesUnknownGrants)]
    [InlineData(LimitFault.IgnoresEnds)]
    [InlineData(LimitFault.SharesAtOnce)]
    [InlineData(LimitFault.ForgetsShares)]
    public void A_planted_fault_of_limits_is_found(LimitFault fault)
    {
        for (var seed = 1; seed <= 200; seed++)
        {
            if (new LimitWorld(seed, fault).Run() is { } broken)
            {
                Assert.Contains("never more than", broken, StringComparison.Ordinal);
                return;
            }
        }

        Assert.Fail($"{fault} was not found");
    }
}
