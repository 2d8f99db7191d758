using System.Buffers;
using Microsoft.Extensions.Time.Testing;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;
using Quorumail.Server.Tests.Queue;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Replication;

public sealed class BodyReplicasTests
{
    private const int Chunked = (3 * BodyFormat.ChunkLength) + 17;

    private static readonly QueueId Id = QueueId.Create(1_700_000_000_000, 0xDEADBEEF);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0)]
    [InlineData(4096)]
    [InlineData(Chunked)]
    public async Task A_kept_body_is_whole_on_as_many_disks_as_must_have_it(int size)
    {
        await using MemoryCluster cluster = new(5, minCopies: 3);
        var receipt = await KeepAsync(cluster.Nodes[0], size);

        Assert.Equal(cluster.Nodes[0].Self, receipt.Holders![0]);
        Assert.InRange(receipt.Holders.Distinct().Count(), 3, 4);
        foreach (var holder in receipt.Holders)
        {
            var node = cluster.Nodes.Single(node => node.Self == holder);
            Assert.Equal(BodyStoreTests.Octets(size), await BodyStoreTests.ReadAsync(node.Bodies, Id));
        }
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(BodyFormat.CarriedMax, true)]
    [InlineData(BodyFormat.CarriedMax + 1, false)]
    [InlineData(Chunked, false)]
    public async Task A_small_body_is_left_to_the_log_where_all_members_know_that(int size, bool isCarried)
    {
        await using MemoryCluster cluster = new(3, minCopies: 2);
        cluster.Nodes[0].CarryBodies = true;
        var receipt = await KeepAsync(cluster.Nodes[0], size);

        Assert.Equal(isCarried ? BodyFormat.HeadLength + size : 0, receipt.Carried.Length);
        Assert.Equal(isCarried, receipt.Holders is null);
        Assert.Equal(isCarried, cluster.Nodes.All(node => node.Asked == 0));
        if (isCarried)
        {
            Assert.Empty(cluster.Nodes[0].Bodies.Ids());
            cluster.Nodes[1].Database.Carried.Add(Id, receipt.Carried);
            Assert.Equal(BodyStoreTests.Octets(size), await BodyStoreTests.ReadAsync(cluster.Nodes[1].Bodies, Id));
        }
    }

    [Fact]
    public async Task A_body_that_more_disks_than_a_majority_must_have_is_not_left_to_the_log()
    {
        await using MemoryCluster cluster = new(3, minCopies: 3);
        cluster.Nodes[0].CarryBodies = true;
        Assert.Equal(3, (await KeepAsync(cluster.Nodes[0], 10)).Holders!.Count);
    }

    [Fact]
    public async Task A_node_whose_database_is_behind_leaves_no_more_bodies_to_the_log()
    {
        await using MemoryCluster cluster = new(3, minCopies: 2);
        cluster.Nodes[0].CarryBodies = true;
        cluster.Nodes[0].Database.Carried.Add(QueueId.Create(1, 1), new byte[64 << 20]);
        Assert.NotNull((await KeepAsync(cluster.Nodes[0], 10)).Holders);
        cluster.Nodes[0].Database.Carried.Remove(QueueId.Create(1, 1));
        await using var writer = cluster.Nodes[0].Bodies.Begin(QueueId.Create(1, 2));
        Assert.Null((await writer.KeepAsync(Token)).Holders);
    }

    [Theory]
    [InlineData(4096, 1)]
    [InlineData(4096, 2)]
    [InlineData(Chunked, 1)]
    [InlineData(Chunked, 2)]
    public async Task A_node_that_does_not_answer_is_not_waited_for(int size, int silent)
    {
        await using MemoryCluster cluster = new(3, minCopies: 2);
        TaskCompletionSource gate = new();
        cluster.Nodes[silent].Gate = gate.Task;
        var receipt = await KeepAsync(cluster.Nodes[0], size);
        Assert.Equal([cluster.Nodes[0].Self, cluster.Nodes[3 - silent].Self], receipt.Holders!);
        gate.SetResult();
    }

    [Theory]
    [InlineData(20_000, 3, 0, 1)]
    [InlineData(Chunked, 3, 0, 1)]
    [InlineData(2 * 1024 * 1024, 3, 0, 1)]
    [InlineData(20_000, 2, 2, 0, 1)]
    [InlineData(Chunked, 2, 2, 0, 1)]
    public async Task A_node_that_stalls_is_not_waited_for_when_another_dies(int size, int minCopies, int silent, params int[] dead)
    {
        FakeTimeProvider time = new();
        await using MemoryCluster cluster = new(5, minCopies, time);
        MemoryCluster.Node[] others = [.. cluster.Members.Order(Id).Select(node => cluster.Nodes.Single(n => n.Self.Node == node.Name)).Where(node => node != cluster.Nodes[0])];
        TaskCompletionSource gate = new();
        others[silent].Gate = gate.Task;
        await using var writer = cluster.Nodes[0].Bodies.Begin(Id);
        foreach (var node in dead)
        {
            others[node].IsDown = true;
        }

        var keeping = KeepAsync();
        await MailQueueTests.UntilAsync(() =>
        {
            time.Advance(TimeSpan.FromSeconds(1));
            return keeping.IsCompleted;
        });
        var holders = (await keeping).Holders!;
        Assert.Equal(cluster.Nodes[0].Self, holders[0]);
        Assert.Equal(
            others.Where((_, i) => i != silent && !dead.Contains(i)).Select(node => node.Self.Node).Order(), holders.Skip(1).Select(holder => holder.Node).Order());
        gate.SetException(new IOException("it is down"));

        async Task<BodyReceipt> KeepAsync()
        {
            await Task.Yield();
            await writer.WriteAsync(new ReadOnlySequence<byte>(BodyStoreTests.Octets(size)), Token);
            return await writer.KeepAsync(Token);
        }
    }

    [Fact]
    public async Task A_body_that_has_too_few_copies_is_not_kept_before_there_are_enough()
    {
        await using MemoryCluster cluster = new(3, minCopies: 2);
        cluster.Nodes[1].IsDown = cluster.Nodes[2].IsDown = true;
        var keeping = KeepAsync(cluster.Nodes[0], 4096);
        using CancellationTokenSource soon = new(TimeSpan.FromMilliseconds(300));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => keeping.WaitAsync(soon.Token));

        cluster.Nodes[2].IsDown = false;
        Assert.Equal([cluster.Nodes[0].Self, cluster.Nodes[2].Self], (await keeping).Holders!);
    }

    [Fact]
    public async Task A_copy_of_what_has_left_the_queue_is_not_stored()
    {
        await using MemoryCluster cluster = new(2, minCopies: 1);
        await KeepAsync(cluster.Nodes[0], 4096);
        cluster.Over[Id] = true;
        Assert.False(await CopyAsync(cluster, from: 0, to: 1));
        Assert.Empty(cluster.Nodes[1].Bodies.Ids());
    }

    [Fact]
    public async Task A_copy_for_a_disk_that_was_replaced_is_refused()
    {
        await using MemoryCluster cluster = new(2, minCopies: 1);
        await KeepAsync(cluster.Nodes[0], 4096);
        Assert.False(await cluster.Nodes[0].Replicas.CopyAsync(Id, default, new Quorumail.Cluster.ClusterPeer("node2", 2), Token));
        Assert.Empty(cluster.Nodes[1].Bodies.Ids());
    }

    [Theory]
    [InlineData(4096, null)]
    [InlineData(Chunked, null)]
    [InlineData(Chunked, 0u)]
    [InlineData(Chunked, 3u)]
    public async Task What_is_damaged_on_a_disk_is_delivered_from_anothers_copy(int size, uint? chunk)
    {
        await using MemoryCluster cluster = new(3, minCopies: 2);
        var receipt = await KeepAsync(cluster.Nodes[0], size);
        var message = Message(size, receipt);
        Damage(cluster.Nodes[0], Id, chunk);

        if (chunk is not null)
        {
            // The next hop has got a part of it by then, and no final dot.
            await Assert.ThrowsAsync<BodyCorruptException>(() => ReadAsync(cluster.Nodes[0].Bodies, message));
        }

        Assert.Equal(BodyStoreTests.Octets(size), await ReadAsync(cluster.Nodes[0].Bodies, message));
        var asked = cluster.Nodes.Sum(node => node.Asked);
        Assert.Equal(BodyStoreTests.Octets(size), await ReadAsync(cluster.Nodes[0].Bodies, message));
        Assert.Equal(asked, cluster.Nodes.Sum(node => node.Asked));
    }

    [Fact]
    public async Task Two_disks_with_different_damage_make_the_body_whole_again()
    {
        await using MemoryCluster cluster = new(2, minCopies: 2);
        var message = Message(Chunked, await KeepAsync(cluster.Nodes[0], Chunked));
        Damage(cluster.Nodes[0], Id, 1);
        Damage(cluster.Nodes[1], Id, 2);
        foreach (var node in cluster.Nodes)
        {
            await Assert.ThrowsAsync<BodyCorruptException>(() => ReadAsync(node.Bodies, message));
            Assert.Equal(BodyStoreTests.Octets(Chunked), await ReadAsync(node.Bodies, message));
        }
    }

    [Theory]
    [InlineData(20_000)]
    [InlineData(Chunked)]
    public async Task What_another_message_has_left_under_the_id_is_not_delivered(int size)
    {
        await using MemoryCluster cluster = new(2, minCopies: 1);
        var others = BodyStoreTests.Octets(size);
        Array.Reverse(others);
        await BodyStoreTests.WriteAsync(new BodyStore(cluster.Nodes[0].Database), Id, others);
        var receipt = await KeepAsync(cluster.Nodes[1], size);
        var message = Message(size, receipt with { Holders = [.. cluster.Nodes.Select(node => node.Self)] });
        cluster.Nodes[1].IsDown = true;
        await Assert.ThrowsAsync<BodyCorruptException>(() => ReadAsync(cluster.Nodes[0].Bodies, message));
        cluster.Nodes[1].IsDown = false;
        Assert.Equal(BodyStoreTests.Octets(size), await ReadAsync(cluster.Nodes[0].Bodies, message));
    }

    [Fact]
    public async Task What_is_damaged_and_whole_nowhere_stays_unread()
    {
        await using MemoryCluster cluster = new(3, minCopies: 2);
        var receipt = await KeepAsync(cluster.Nodes[0], Chunked);
        foreach (var node in cluster.Nodes)
        {
            node.IsDown = node != cluster.Nodes[0];
        }

        Damage(cluster.Nodes[0], Id, 2);
        for (var i = 0; i < 2; i++)
        {
            await Assert.ThrowsAsync<BodyCorruptException>(() => ReadAsync(cluster.Nodes[0].Bodies, Message(Chunked, receipt)));
        }
    }

    private static async Task<BodyReceipt> KeepAsync(MemoryCluster.Node node, int size)
    {
        await Task.Yield();
        await using var writer = node.Bodies.Begin(Id);
        await writer.WriteAsync(new ReadOnlySequence<byte>(BodyStoreTests.Octets(size)), Token);
        return await writer.KeepAsync(Token);
    }

    private static async Task<bool> CopyAsync(MemoryCluster cluster, int from, int to) =>
        await cluster.Nodes[from].Replicas.CopyAsync(Id, default, new Quorumail.Cluster.ClusterPeer(MemoryCluster.NameOf(to), 1), Token);

    private static QueuedMessage Message(int size, BodyReceipt receipt) =>
        new(Id, "s@x", DsnReturn.Unspecified, null, [], size, BodyTraits.None, receipt.Hash, receipt.Holders!, "node1", 1, 0, "");

    private static async Task<byte[]> ReadAsync(BodyStore bodies, QueuedMessage message)
    {
        using var reader = await bodies.OpenAsync(message, Token);
        using var whole = new MemoryStream();
        for (var part = await reader.ReadAsync(Token); !part.IsEmpty; part = await reader.ReadAsync(Token))
        {
            whole.Write(part.Span);
        }

        return whole.ToArray();
    }

    internal static void Damage(MemoryCluster.Node node, QueueId id, uint? chunk)
    {
        var key = new byte[chunk is null ? QueueId.ByteLength : BodyFormat.ChunkKeyLength];
        id.WriteTo(key);
        if (chunk is { } number)
        {
            BodyFormat.WriteChunkKey(id, number, key);
        }

        var record = node.Database.Store.Get(node.Database.Bodies, key)!;
        record[^1] ^= 0x10;
        using var batch = new RocksBatch();
        batch.Put(node.Database.Bodies, key, record);
        node.Database.Store.Write(batch, sync: false);
    }
}
