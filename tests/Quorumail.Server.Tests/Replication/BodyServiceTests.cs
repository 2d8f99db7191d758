using Microsoft.Extensions.Time.Testing;
using Quorumail.Cluster;
using Quorumail.Cluster.Journal;
using Quorumail.Core.Mail;
using Quorumail.Server.Replication;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Queue;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Replication;

public sealed class BodyServiceTests
{
    private const int Chunked = (3 * BodyFormat.ChunkLength) + 17;

    private static readonly QueueId Id = QueueId.Create(1_700_000_000_000, 0xDEADBEEF);

    private readonly FakeTimeProvider _time = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_body_that_was_copied_twice_is_not_swept_away(bool isQueued)
    {
        await using MemoryCluster cluster = new(2, minCopies: 1, _time);
        await BodyStoreTests.WriteAsync(cluster.Nodes[0].Bodies, Id, BodyStoreTests.Octets(Chunked));
        Assert.True(await CopyAsync(cluster));
        Assert.True(await CopyAsync(cluster));
        if (isQueued)
        {
            cluster.Queued[Id] = true;
        }

        // As when the sender was lost before the head.
        await AskAsync(cluster, 0, BodyFrame.Again);

        await SweepAsync(cluster);
        Assert.Equal(BodyStoreTests.Octets(Chunked), await BodyStoreTests.ReadAsync(cluster.Nodes[1].Bodies, Id));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(BodyFrame.Head)]
    public async Task A_copy_that_is_there_already_counts_when_the_disk_has_it(uint number)
    {
        await using MemoryCluster cluster = new(2, minCopies: 1);
        var size = number == BodyFrame.Head ? 20_000 : Chunked;
        await BodyStoreTests.WriteAsync(cluster.Nodes[0].Bodies, Id, BodyStoreTests.Octets(size));
        using HeldUp journal = new();
        cluster.Nodes[1].Database.Journal.Append(journal);
        Assert.True(journal.IsHolding.Wait(TimeSpan.FromSeconds(30), Token));
        try
        {
            var first = AskAsync(cluster, number, 0);
            var again = AskAsync(cluster, number, BodyFrame.Again);
            Assert.True(BodyRecords.Exists(cluster.Nodes[1].Database, Id, number));
            Assert.False(again.IsCompleted, "what is in memory alone counted as a copy");
            journal.End.Set();
            Assert.Equal(CopyStatus.Stored, await first);
            Assert.Equal(CopyStatus.Stored, await again);
        }
        finally
        {
            journal.End.Set();
        }
    }

    [Theory]
    [InlineData(20_000)]
    [InlineData(Chunked)]
    public async Task A_copy_does_not_take_the_place_of_another_message_of_the_same_id(int size)
    {
        await using MemoryCluster cluster = new(3, minCopies: 2);
        var others = BodyStoreTests.Octets(size - 1);
        await BodyStoreTests.WriteAsync(new BodyStore(cluster.Nodes[1].Database), Id, others);

        await using var writer = cluster.Nodes[0].Bodies.Begin(Id);
        await writer.WriteAsync(BodyStoreTests.Octets(size), Token);
        var receipt = await writer.KeepAsync(Token);

        Assert.Equal([cluster.Nodes[0].Self, cluster.Nodes[2].Self], receipt.Holders!);
        Assert.False(await CopyAsync(cluster));
        Assert.Equal(others, await BodyStoreTests.ReadAsync(cluster.Nodes[1].Bodies, Id));
    }

    [Theory]
    [InlineData(20_000)]
    [InlineData(Chunked)]
    public async Task What_is_received_does_not_take_the_place_of_another_message_of_the_same_id(int size)
    {
        await using MemoryCluster cluster = new(3, minCopies: 2);
        var others = BodyStoreTests.Octets(size - 1);
        await BodyStoreTests.WriteAsync(new BodyStore(cluster.Nodes[0].Database), Id, others);
        await using (var writer = cluster.Nodes[0].Bodies.Begin(Id))
        {
            await Assert.ThrowsAsync<StorageException>(async () =>
            {
                await writer.WriteAsync(BodyStoreTests.Octets(size), Token);
                await writer.KeepAsync(Token);
            });
        }

        Assert.Equal(others, await BodyStoreTests.ReadAsync(cluster.Nodes[0].Bodies, Id));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(BodyFrame.Head)]
    public async Task A_copy_takes_the_place_of_what_is_damaged(uint number)
    {
        await using MemoryCluster cluster = new(2, minCopies: 1);
        await BodyStoreTests.WriteAsync(cluster.Nodes[0].Bodies, Id, BodyStoreTests.Octets(Chunked));
        Assert.True(await CopyAsync(cluster));
        BodyReplicasTests.Damage(cluster.Nodes[1], Id, number == BodyFrame.Head ? null : number);
        Assert.True(await CopyAsync(cluster));
        Assert.Equal(BodyStoreTests.Octets(Chunked), await BodyStoreTests.ReadAsync(cluster.Nodes[1].Bodies, Id));
    }

    [Fact]
    public async Task A_copy_whose_message_has_come_is_claimed_at_once_and_another_is_given_up_after_a_minute()
    {
        await using MemoryCluster cluster = new(2, minCopies: 1, _time);
        var come = QueueId.Create(1, 1);
        var over = QueueId.Create(1, 2);
        foreach (var id in (QueueId[])[come, Id, over])
        {
            await BodyStoreTests.WriteAsync(cluster.Nodes[0].Bodies, id, BodyStoreTests.Octets(20_000));
            Assert.True(await CopyAsync(cluster, id));
        }

        cluster.Queued[come] = true;
        cluster.Over[over] = true;
        _time.Advance(TimeSpan.FromSeconds(5));
        await MailQueueTests.UntilAsync(() => cluster.Nodes[1].Service.Unclaimed == 1);
        Assert.Empty(cluster.Nodes[1].Abandoned);

        // The queue forgets what is over.
        cluster.Queued.Clear();
        cluster.Over.Clear();
        _time.Advance(TimeSpan.FromSeconds(65));
        await MailQueueTests.UntilAsync(() => cluster.Nodes[1].Service.Unclaimed == 0);
        Assert.Equal([Id], cluster.Nodes[1].Abandoned);
    }

    private static Task<bool> CopyAsync(MemoryCluster cluster) => CopyAsync(cluster, Id);

    private static async Task<bool> CopyAsync(MemoryCluster cluster, QueueId id) =>
        await cluster.Nodes[0].Replicas.CopyAsync(id, default, new ClusterPeer(MemoryCluster.NameOf(1), 1), Token);

    // Answered before it returns, or only when the journal goes on.
    private static Task<CopyStatus> AskAsync(MemoryCluster cluster, uint number, byte flags) =>
        AskAsync(cluster, Id, number, BodyRecords.Get(cluster.Nodes[0].Database, Id, number)!, flags);

    private static async Task<CopyStatus> AskAsync(MemoryCluster cluster, QueueId id, uint number, byte[] record, byte flags)
    {
        var question = new byte[BodyFrame.HeaderLength + BodyFrame.PieceHeaderLength + record.Length];
        BodyFrame.WriteHeader(question, BodyFrame.Store, 1);
        BodyFrame.WritePiece(question.AsSpan(BodyFrame.HeaderLength), flags, id, number, record);
        var answer = await cluster.Nodes[1].Service.AnswerAsync(new ClusterPeer("node1", 1), question, Token);
        return (CopyStatus)Assert.Single(answer.ToArray());
    }

    /// <summary>Lets time pass until what can be swept away has been: when the second body that remains incomplete goes, a sweep has ended.</summary>
    private async Task SweepAsync(MemoryCluster cluster)
    {
        for (uint n = 0; n < 2; n++)
        {
            var incomplete = QueueId.Create(1, n);
            var record = new byte[BodyFormat.ChecksumLength + 1];
            BitConverter.TryWriteBytes(record, BodyFormat.Checksum(incomplete, 0, record.AsSpan(BodyFormat.ChecksumLength)));
            Assert.Equal(CopyStatus.Stored, await AskAsync(cluster, incomplete, 0, record, 0));
            _time.Advance(TimeSpan.FromMinutes(6));
            await MailQueueTests.UntilAsync(() => !cluster.Nodes[1].Bodies.Ids().Contains(incomplete));
        }
    }

    /// <summary>Holds the journal's thread up when it has been written.</summary>
    private sealed class HeldUp : LocalRecord, IDisposable
    {
        public ManualResetEventSlim IsHolding { get; } = new();

        public ManualResetEventSlim End { get; } = new();

        public override int Length => 1;

        public override bool NeedsSync => false;

        public override void CopyTo(Span<byte> destination) => destination.Clear();

        public override void Ended(IOException? failure)
        {
            IsHolding.Set();
            End.Wait();
        }

        public void Dispose()
        {
            IsHolding.Dispose();
            End.Dispose();
        }
    }
}
