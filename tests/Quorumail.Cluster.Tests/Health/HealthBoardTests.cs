using Quorumail.Cluster.Health;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Health;

public sealed class HealthBoardTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly HealthLimits _limits = new();
    private readonly HealthBoard _board;

    public HealthBoardTests() => _board = new HealthBoard(_limits);

    [Fact]
    public void A_node_that_sends_heartbeats_is_healthy()
    {
        _board.Connected("n2", Second);
        Assert.Equal(NodeStatus.Unhealthy, Status(Second));
        _board.Heard(Heartbeat(), 2 * Second);

        PeerHealth health = _board.Of("n2", 0, 5 * Second);
        Assert.Equal((NodeStatus.Healthy, "", 3 * Second), (health.Status, health.Reason, health.HeartbeatAge));
        Assert.Equal(NodeRole.Follower, health.Heartbeat?.Role);
    }

    [Fact]
    public void A_node_that_was_never_heard_of_is_disconnected() => Assert.Equal(NodeStatus.Disconnected, Status(TimeSpan.Zero));

    /// <summary>Whenever it falls silent, and whatever signs it gave last: disconnected from the time-out on, an interval later at the latest.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2.5)]
    [InlineData(4.9)]
    public void A_silent_node_is_disconnected_between_the_timeout_and_one_interval_later(double silentAfterHeartbeat)
    {
        _board.Heard(Heartbeat(), 100 * Second);
        for (TimeSpan ping = _limits.PingInterval; ping <= silentAfterHeartbeat * Second; ping += _limits.PingInterval)
        {
            _board.Answered("n2", TimeSpan.FromMilliseconds(1), (100 * Second) + ping);
        }

        TimeSpan silence = (100 + silentAfterHeartbeat) * Second;
        Assert.NotEqual(NodeStatus.Disconnected, Status(silence + _limits.HeartbeatTimeout));
        Assert.Equal(NodeStatus.Disconnected, Status(silence + _limits.HeartbeatTimeout + _limits.HeartbeatInterval));
    }

    [Fact]
    public void A_node_whose_process_is_gone_is_disconnected_at_once_and_back_with_its_next_word()
    {
        _board.Connected("n2", Second);
        _board.Heard(Heartbeat(), Second);
        _board.Disconnected("n2", isRefused: false);
        Assert.Equal(NodeStatus.Healthy, Status(2 * Second));
        _board.Disconnected("n2", isRefused: true);
        Assert.Equal(NodeStatus.Disconnected, Status(2 * Second));
        _board.Connected("n2", 3 * Second);
        _board.Heard(Heartbeat(), 3 * Second);
        Assert.Equal(NodeStatus.Healthy, Status(3 * Second));
    }

    [Fact]
    public void A_node_is_what_it_says_of_itself()
    {
        _board.Heard(Heartbeat(new NodeCondition(NodeStatus.Degraded, "the disk is nearly full", 5)), Second);
        Assert.Equal((NodeStatus.Degraded, "the disk is nearly full"), (_board.Of("n2", null, Second).Status, _board.Of("n2", null, Second).Reason));
        _board.Heard(Heartbeat(new NodeCondition(NodeStatus.Unhealthy, "no leader", 5)), Second);
        Assert.Equal((NodeStatus.Unhealthy, "no leader"), (_board.Of("n2", null, Second).Status, _board.Of("n2", null, Second).Reason));
    }

    [Fact]
    public void A_slow_network_or_a_lag_degrades()
    {
        _board.Heard(Heartbeat(), Second);
        for (int i = 0; i < 20; i++)
        {
            _board.Answered("n2", TimeSpan.FromMilliseconds(49), Second);
        }

        Assert.Equal(NodeStatus.Healthy, _board.Of("n2", 10_000, Second).Status);
        Assert.Equal(NodeStatus.Degraded, _board.Of("n2", 10_001, Second).Status);
        for (int i = 0; i < 20; i++)
        {
            _board.Answered("n2", TimeSpan.FromMilliseconds(120), Second);
        }

        PeerHealth slow = _board.Of("n2", 0, Second);
        Assert.Equal(NodeStatus.Degraded, slow.Status);
        Assert.InRange(slow.RoundTrip!.Value.TotalMilliseconds, 110, 120);
        Assert.Contains("ms", slow.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_node_that_left_is_forgotten()
    {
        _board.Heard(Heartbeat(), Second);
        _board.Forget("n2");
        Assert.Null(_board.Of("n2", null, Second).Heartbeat);
    }

    [Fact]
    public void A_disk_that_is_nearly_full_counts_as_long_as_its_node_lives()
    {
        _board.Connected("n2", Second);
        Assert.False(_board.IsAnyShortOfSpace(Second));
        _board.Heard(Heartbeat(new NodeCondition(NodeStatus.Degraded, "full", 5) { IsShortOfSpace = true }), Second);
        Assert.True(_board.IsAnyShortOfSpace(Second));
        Assert.False(_board.IsAnyShortOfSpace(1000 * Second));
        _board.Disconnected("n2", isRefused: true);
        Assert.False(_board.IsAnyShortOfSpace(Second));
        _board.Heard(Heartbeat(new NodeCondition(NodeStatus.Healthy, "", 5)), Second);
        Assert.False(_board.IsAnyShortOfSpace(Second));
    }

    private static Heartbeat Heartbeat(NodeCondition? condition = null) =>
        new("n2", NodeRole.Follower, 1, new HeartbeatMetadata("v1", 1, 2, 3, 4, 5)) { Condition = condition };

    private NodeStatus Status(TimeSpan now) => _board.Of("n2", null, now).Status;
}
