using Quorumail.Cluster.Health;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Health;

public sealed class OwnHealthTests
{
    private static readonly OwnState Good = new(NodeRole.Follower, "n1", IsReady: true, 20_000, 20_000);

    private readonly ScriptedLoad _load = new();

    [Fact]
    public void A_node_judges_itself_by_the_documented_rules()
    {
        Assert.Equal(new NodeCondition(NodeStatus.Healthy, "", 20_000), Judge(Good));
        Assert.Equal(NodeStatus.Unhealthy, Judge(Good with { LeaderId = null }).Status);
        Assert.Equal(NodeStatus.Unhealthy, Judge(Good with { IsReady = false }).Status);
        Assert.Equal(NodeStatus.Degraded, Judge(Good with { AppliedIndex = 9_000 }).Status);
        Assert.Equal(NodeStatus.Healthy, Judge(Good with { AppliedIndex = 10_000 }).Status);
        Assert.Equal(NodeStatus.Degraded, Judge(Good, isOverloaded: true).Status);
        _load.Warning = "512 MiB of disk space are left";
        Assert.Equal(new NodeCondition(NodeStatus.Degraded, "512 MiB of disk space are left", 20_000), Judge(Good));
        _load.Fault = "the disk has failed";
        Assert.Equal(new NodeCondition(NodeStatus.Unhealthy, "the disk has failed", 20_000), Judge(Good));
    }

    [Fact]
    public void A_long_reason_still_fits_into_a_heartbeat()
    {
        _load.Fault = new string('\u0001', 5000);
        System.Buffers.ArrayBufferWriter<byte> body = new();
        new Heartbeat("n", NodeRole.Leader, 1, new HeartbeatMetadata("v", 1, 1, 1, 1, 1)) { Condition = Judge(Good) with { Reason = new string('r', 300) } }.Write(body);
        Assert.Equal(300, Heartbeat.Read(body.WrittenSpan)?.Condition?.Reason.Length);
        Assert.InRange(Judge(Good).Reason.Length, 1, 300);
    }

    [Fact]
    public void Load_is_measured_over_the_last_interval_and_warns_after_two()
    {
        ManualTime time = new(DateTimeOffset.UnixEpoch);
        TimeSpan used = TimeSpan.FromSeconds(100);
        ProcessLoad load = new(time, 0.9, () => used, cores: 2);

        foreach ((double seconds, double expected, bool isOverloaded) in ((double, double, bool)[])
            [(5, 100, false), (9.5, 190, false), (9.5, 190, true), (1, 20, false), (50, 200, false)])
        {
            time.Pass(TimeSpan.FromSeconds(5));
            used += TimeSpan.FromSeconds(seconds);
            load.Sample();
            Assert.Equal(expected, load.CpuPercent, 6);
            Assert.Equal(isOverloaded, load.IsOverloaded);
        }

        Assert.InRange(ProcessLoad.ResidentMebibytes, 10, 10_000);
    }

    private NodeCondition Judge(OwnState own, bool isOverloaded = false) => OwnHealth.Judge(own, _load, isOverloaded, new HealthLimits());
}
