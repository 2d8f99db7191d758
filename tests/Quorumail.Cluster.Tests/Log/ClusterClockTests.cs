using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Tests.Log;

public sealed class ClusterClockTests
{
    private static readonly DateTimeOffset Start = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static long Milliseconds(DateTimeOffset time) => time.ToUnixTimeMilliseconds();

    [Fact]
    public void A_new_cluster_starts_at_wall_time_and_goes_on_with_monotonic_time()
    {
        ManualTime time = new(Start);
        ClusterClock clock = new(time, lastStamp: 0);
        Assert.Equal(Milliseconds(Start), clock.Now);

        time.Pass(TimeSpan.FromSeconds(90));

        Assert.Equal(Milliseconds(Start.AddSeconds(90)), clock.Now);
    }

    [Theory]
    [InlineData(-3600)]
    [InlineData(3600)]
    [InlineData(86_400 * 365)]
    public void A_jump_of_the_wall_clock_changes_nothing(int seconds)
    {
        ManualTime time = new(Start);
        ClusterClock clock = new(time, lastStamp: 0);
        time.Pass(TimeSpan.FromSeconds(5));
        clock.Applied(clock.Now);
        time.Wall = time.Wall.AddSeconds(seconds);

        time.Pass(TimeSpan.FromSeconds(1));
        clock.Applied(clock.Now);

        Assert.Equal(Milliseconds(Start.AddSeconds(6)), clock.Now);
    }

    [Theory]
    [InlineData(-7200, 0)]
    [InlineData(0, 0)]
    [InlineData(600, 600)]
    [InlineData(86_400 * 30, 86_400)]
    public void After_a_stop_the_wall_clock_counts_forward_only_and_a_day_at_most(int wallSeconds, int expectedSeconds)
    {
        long last = Milliseconds(Start);
        ClusterClock clock = new(new ManualTime(Start.AddSeconds(wallSeconds)), last);

        Assert.Equal(last + (expectedSeconds * 1000L), clock.Now);
    }

    [Fact]
    public void A_stamp_behind_the_clock_never_takes_it_back()
    {
        ManualTime time = new(Start);
        ClusterClock clock = new(time, lastStamp: 0);
        time.Pass(TimeSpan.FromSeconds(10));

        clock.Applied(Milliseconds(Start.AddSeconds(3)));
        Assert.Equal(Milliseconds(Start.AddSeconds(10)), clock.Now);

        clock.Applied(Milliseconds(Start.AddSeconds(30)));
        Assert.Equal(Milliseconds(Start.AddSeconds(30)), clock.Now);
    }
}
