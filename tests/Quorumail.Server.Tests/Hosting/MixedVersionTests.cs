using System.Buffers;
using Quorumail.Cluster.Journal;
using Quorumail.Core.Limits;
using Quorumail.Server.Configuration;
using Quorumail.Server.Hosting;
using Quorumail.Server.Limits;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Tests.Hosting;

/// <summary>A cluster that is upgraded node by node: one of its nodes says that it knows less.</summary>
public sealed class MixedVersionTests
{
    private const string Limit = LimitNames.PerUser;

    /// <summary>Several looks of the leader's <see cref="LimitDuties"/>, each of which would define the limits.</summary>
    private static readonly TimeSpan SeveralLooks = TimeSpan.FromSeconds(1);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_log_holds_no_limits_before_every_member_knows_them_and_does_from_then_on()
    {
        await using var cluster = new InProcessCluster(new LimitsOptions { MaxMessagesPerUser = new MessageRate(100, TimeSpan.FromDays(1)) });
        await StartMixedAsync(cluster, FeatureLevels.Limits);
        await Task.Delay(SeveralLooks, Token);

        Assert.All(cluster.Nodes, node => Assert.Null(node.Mail.Queue.Limits.Records));
        Assert.All(cluster.Nodes, node => Assert.Equal(LimitVerdict.Passed, node.Limits.Shared.TryTake(Limit, "ann", out _, out _)));
        Assert.All(InProcessCluster.Names, name => Assert.Equal((true, false), Logged(cluster, name)));

        await cluster.StopAsync("node1");
        await cluster.StartAsync("node1", FeatureLevels.Limits);

        await cluster.UntilAsync(() => cluster.Nodes.All(node => node.Mail.Queue.Limits.Rules is { MemberCount: 3 } rules && rules.Has(Limit)));
        Assert.All(cluster.Nodes, node => Assert.Equal(FeatureLevels.Limits, node.Mail.Manager.Node!.FeatureLevel));
        Assert.All(InProcessCluster.Names, name => Assert.Equal((true, true), Logged(cluster, name)));
    }

    [Fact]
    public async Task The_log_carries_no_bodies_before_every_member_knows_that_and_does_from_then_on()
    {
        await using var cluster = new InProcessCluster();
        await StartMixedAsync(cluster, FeatureLevels.CarriedBodies);
        Assert.All(await KeepAsync(cluster), receipt => Assert.True(receipt is { Carried.IsEmpty: true, Holders.Count: >= 2 }));

        await cluster.StopAsync("node1");
        await cluster.StartAsync("node1", FeatureLevels.CarriedBodies);
        await cluster.UntilAsync(() => cluster.Nodes.All(node => node.Mail.Manager.Node?.FeatureLevel == FeatureLevels.CarriedBodies));
        Assert.All(await KeepAsync(cluster), receipt => Assert.True(receipt is { Carried.IsEmpty: false, Holders: null }));
    }

    private static async Task StartMixedAsync(InProcessCluster cluster, int featureLevel)
    {
        await Task.WhenAll(
            cluster.StartAsync("node1", featureLevel - 1), cluster.StartAsync("node2", featureLevel), cluster.StartAsync("node3", featureLevel));
        await cluster.UntilAsync(() => cluster.Nodes.All(node => node.Mail.Manager.Node?.FeatureLevel == featureLevel - 1));
    }

    /// <summary>A small body received by each node.</summary>
    private static async Task<List<BodyReceipt>> KeepAsync(InProcessCluster cluster)
    {
        List<BodyReceipt> receipts = [];
        foreach (var node in cluster.Nodes)
        {
            await using var writer = node.Mail.Queue.Bodies.Begin(node.Mail.Queue.NewId());
            await writer.WriteAsync(new ReadOnlySequence<byte>(new byte[100]), Token);
            receipts.Add(await writer.KeepAsync(Token));
        }

        return receipts;
    }

    /// <summary>Whether a node's log holds commands of the queue, and of the limits.</summary>
    private static (bool OfQueue, bool OfLimits) Logged(InProcessCluster cluster, string name)
    {
        var (ofQueue, ofLimits) = (false, false);
        foreach (var _ in JournalDump.Render(Path.Combine(cluster.DirectoryOf(name), "log"), 0, Look))
        {
            // Looked at on the way.
        }

        return (ofQueue, ofLimits);

        string Look(ReadOnlyMemory<byte> command)
        {
            var isLimit = ReplicatedLimits.IsCommand(command.Span);
            ofLimits |= isLimit;
            ofQueue |= !isLimit;
            return "";
        }
    }
}
