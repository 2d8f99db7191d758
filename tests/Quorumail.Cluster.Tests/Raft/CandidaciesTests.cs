using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests.Raft;

public sealed class CandidaciesTests
{
    private static readonly ClusterTimers Timers = ClusterTimers.Default;
    private readonly ManualTime _time = new(DateTimeOffset.UnixEpoch);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void Of_two_that_ask_at_the_same_time_one_is_supported_by_both()
    {
        Candidacies low = Of("a"), high = Of("b");
        Assert.True(low.TryStand(1, 10));
        Assert.True(high.TryStand(1, 10));

        Assert.True(low.TrySupport("b", 1, 10));
        Assert.False(high.TrySupport("a", 1, 10));
    }

    [Fact]
    public void A_longer_log_counts_more_than_a_name()
    {
        Candidacies longer = Of("a"), shorter = Of("b");
        Assert.True(longer.TryStand(1, 11));
        Assert.True(shorter.TryStand(1, 10));

        Assert.True(shorter.TrySupport("a", 1, 11));
        Assert.False(longer.TrySupport("b", 1, 10));
        Assert.True(longer.TrySupport("b", 2, 1), "an entry of a later term is later");
    }

    [Fact]
    public void Who_supports_another_does_not_stand_until_that_had_the_time_for_its_election()
    {
        Candidacies node = Of("b");
        Assert.True(node.TrySupport("a", 1, 10));
        Assert.False(node.TryStand(1, 10));
        Assert.True(node.TrySupport("a", 1, 10), "the same one may ask again");

        _time.Pass(Timers.Vote);
        Assert.True(node.TryStand(1, 10));
    }

    [Fact]
    public async Task Who_hears_of_a_leader_while_it_is_patient_does_not_stand()
    {
        Candidacies node = Of("a");
        Assert.True(await node.StandAsync(1, 10));

        Task<bool> stands = node.StandAsync(1, 10);
        _time.Pass(TimeSpan.FromMilliseconds(1));
        node.LeaderHeard();
        Assert.False(await stands);
    }

    [Theory]
    [InlineData(740, true)] // It was told of the leader by more than one heartbeat later: it does not miss it.
    [InlineData(990, false)]
    [InlineData(1000, true)]
    public async Task Who_heard_of_the_leader_a_moment_later_than_the_one_that_asks_waits_that_long(int milliseconds, bool atOnce)
    {
        Candidacies node = Of("a");
        _time.Pass(TimeSpan.FromSeconds(5));
        node.LeaderHeard();
        _time.Pass(TimeSpan.FromMilliseconds(milliseconds));

        Task missing = node.MissLeaderAsync(Token);
        Assert.Equal(atOnce, missing.IsCompleted);
        await missing;
    }

    [Fact]
    public async Task Who_has_heard_of_no_leader_answers_at_once()
    {
        await Of("a").MissLeaderAsync(Token);
    }

    // A patience of 10 ms.
    private Candidacies Of(string nodeId) =>
        new(nodeId, Timers with { ElectionUpper = Timers.ElectionLower + TimeSpan.FromMilliseconds(20) }, _time, new Half());

    private sealed class Half : Random
    {
        public override double NextDouble() => 0.5;
    }
}
