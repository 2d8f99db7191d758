using System.Buffers;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Hosting;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Hosting;

/// <summary>Bodies that the log carries, on real nodes.</summary>
public sealed class CarriedBodiesTests
{
    private static readonly Envelope SomeEnvelope = new("a@b.example", [new EnvelopeRecipient("c@d.example")]);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_member_has_a_small_body_with_its_message()
    {
        await using var cluster = await StartAsync();
        var octets = BodyStoreTests.Octets(4096);
        var id = await EnqueueAsync(cluster["node2"], octets);
        await cluster.UntilAsync(() => cluster.Nodes.All(node => node.Mail.Queue.TryGet(id, out _)));
        foreach (var node in cluster.Nodes)
        {
            Assert.True(node.Mail.Queue.TryGet(id, out var message));
            Assert.Equal(InProcessCluster.Names, message.Holders.Select(holder => holder.Node).Order(StringComparer.Ordinal));
            Assert.Equal(octets, await BodyStoreTests.ReadAsync(node.Mail.Queue.Bodies, id));
        }
    }

    // It was not there when the entry came, and the others have forgotten the entry.
    [Fact]
    public async Task A_node_that_is_given_the_queue_tells_which_bodies_it_lacks()
    {
        await using var cluster = await StartAsync();
        var third = new BodyHolder("node3", cluster["node3"].Mail.Manager.Node!.Incarnation);
        await cluster.StopAsync("node3");
        await cluster.UntilAsync(() => cluster["node1"].Mail.Queue.IsReady);
        var queue = cluster["node1"].Mail.Queue;
        var id = await EnqueueAsync(cluster["node1"], BodyStoreTests.Octets(4096));
        Assert.True(queue.TryGet(id, out var message));
        if (!message.Holders.Contains(third))
        {
            // As if it had gone a moment later.
            Assert.True((await queue.ProposeAsync(new HoldersChangedCommand([id], third, Added: true), Token)).IsAccepted);
        }

        foreach (var node in cluster.Nodes)
        {
            await node.Mail.Manager.Node!.CheckpointAsync();
        }

        await cluster.StartAsync("node3", FeatureLevels.Highest);
        await cluster.UntilAsync(() =>
            cluster["node3"].Mail.Queue.TryGet(id, out var there) && !there.Holders.Contains(third) && there.Holders.Count == 2);
        Assert.True(queue.TryGet(id, out message));
        Assert.DoesNotContain(third, message.Holders);
    }

    [Fact]
    public async Task The_log_carries_no_bodies_to_a_disk_that_is_nearly_full()
    {
        await using var cluster = await StartAsync();
        await cluster.StopAsync("node3");
        await cluster.StartAsync("node3", FeatureLevels.Highest, minFree: long.MaxValue);
        await cluster.UntilAsync(() => cluster.Nodes.All(node => node.Mail.Manager.IsAnyShortOfSpace));
        var queue = cluster["node1"].Mail.Queue;
        await using var writer = queue.Bodies.Begin(queue.NewId());
        await writer.WriteAsync(new ReadOnlySequence<byte>(new byte[100]), Token);
        var receipt = await writer.KeepAsync(Token);
        Assert.Equal(["node1", "node2"], receipt.Holders!.Select(holder => holder.Node).Order(StringComparer.Ordinal));

        // It is gone, and full or not does not matter any more.
        await cluster.StopAsync("node3");
        await cluster.UntilAsync(() => !cluster["node1"].Mail.Manager.IsAnyShortOfSpace);
    }

    private static async Task<InProcessCluster> StartAsync()
    {
        var cluster = new InProcessCluster();
        await cluster.StartAsync(FeatureLevels.Highest);
        await cluster.UntilAsync(() => cluster.Nodes.All(node => node.Mail.Manager.Node?.FeatureLevel == FeatureLevels.Highest));
        return cluster;
    }

    private static async Task<QueueId> EnqueueAsync(InProcessCluster.Node node, byte[] octets)
    {
        var queue = node.Mail.Queue;
        await using var writer = queue.Bodies.Begin(queue.NewId());
        await writer.WriteAsync(new ReadOnlySequence<byte>(octets), Token);
        var receipt = await writer.KeepAsync(Token);
        Assert.False(receipt.Carried.IsEmpty);
        Assert.True((await queue.EnqueueAsync(writer.Id, SomeEnvelope, receipt, BodyTraits.None, Token)).IsAccepted);
        return writer.Id;
    }
}
