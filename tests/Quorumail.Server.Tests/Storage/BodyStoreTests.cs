using System.Buffers;
using System.IO.Hashing;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Core.Mail;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;
using Quorumail.Server.Torture;

namespace Quorumail.Server.Tests.Storage;

public sealed class BodyStoreTests
{
    private static readonly QueueId Id = QueueId.Create(1_700_000_000_000, 0xDEADBEEF);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4096)]
    [InlineData(BodyFormat.ChunkLength - 1)]
    [InlineData(BodyFormat.ChunkLength)]
    [InlineData(BodyFormat.ChunkLength + 1)]
    [InlineData((3 * BodyFormat.ChunkLength) + 17)]
    [InlineData(4 * BodyFormat.ChunkLength)]
    public async Task What_is_written_is_read_after_a_restart(int size)
    {
        using var directory = new TemporaryDirectory();
        var octets = Octets(size);
        await using (var database = Open(directory))
        {
            var receipt = await WriteAsync(new BodyStore(database), Id, octets);
            Assert.Equal(size, receipt.Size);
            Assert.Equal(XxHash128.Hash(octets), receipt.Hash.ToArray());
            Assert.Equal(octets, await ReadAsync(new BodyStore(database), Id));
        }

        await using var again = Open(directory);
        Assert.Equal(octets, await ReadAsync(new BodyStore(again), Id));
    }

    [Fact]
    public async Task A_database_that_has_never_been_open_is_begun_anew()
    {
        using var directory = new TemporaryDirectory();
        await Open(directory).DisposeAsync();

        // As a process leaves it that is killed before it has written that there is one, or that a file system refuses something.
        var stamp = Path.Combine(directory.Path, "stamp.json");
        await File.WriteAllTextAsync(stamp, (await File.ReadAllTextAsync(stamp, Token)).Replace("true", "false", StringComparison.Ordinal), Token);
        foreach (var log in Directory.GetFiles(Path.Combine(directory.Path, "store"), "*.log"))
        {
            File.Delete(log);
        }

        await Open(directory).DisposeAsync();
    }

    [Fact]
    public async Task Blob_files_go_though_a_few_of_their_bodies_live_on_and_not_for_less()
    {
        using var directory = new TemporaryDirectory();
        await using var database = Database.Open(
            new DatabaseOptions { Path = directory.Path, BodyBufferBytes = 1 << 20, DeadBodiesMin = 1 << 20 }, TimeProvider.System, NullLogger.Instance);
        var bodies = new BodyStore(database);
        QueueId[] ids = [.. Enumerable.Range(0, 400).Select(i => QueueId.Create(Id.Milliseconds, (uint)i))];
        foreach (var id in ids)
        {
            await WriteAsync(bodies, id, Octets(20_000));
        }

        database.Store.Flush(database.Bodies);
        await DeleteAsync(ids.Where((_, i) => i % 4 == 1));
        var before = BlobBytes();
        Assert.False(database.Space.IsCopying);
        Assert.InRange(before, 400 * 20_000, long.MaxValue);

        await DeleteAsync(ids.Where((_, i) => i % 4 > 1));
        await Deadline.UntilAsync(
            () =>
            {
                database.Space.Look(long.MaxValue);
                return BlobBytes() < before / 2;
            },
            TimeSpan.FromSeconds(30),
            () => $"{BlobBytes()} of {before} are left, copying: {database.Space.IsCopying}",
            Token);
        Assert.All(await Task.WhenAll(ids.Where((_, i) => i % 4 == 0).Select(id => ReadAsync(bodies, id))), octets => Assert.Equal(Octets(20_000), octets));

        long BlobBytes() => database.Store.Property(database.Bodies, "rocksdb.live-blob-file-size");

        async Task DeleteAsync(IEnumerable<QueueId> gone)
        {
            // Several tables, so that the keys are merged with those that they delete.
            foreach (var part in gone.Chunk(20))
            {
                Write(database, batch => Array.ForEach(part, id => bodies.AddDeletion(batch, id, 20_000)));
                database.Store.Flush(database.Bodies);
            }

            await Task.Yield();
            database.Space.Look(long.MaxValue);
        }
    }

    [Fact]
    public async Task A_body_that_is_given_up_leaves_nothing()
    {
        using var directory = new TemporaryDirectory();
        await using var database = Open(directory);
        var bodies = new BodyStore(database);
        await using (var writer = bodies.Begin(Id))
        {
            await writer.WriteAsync(Octets(5 * BodyFormat.ChunkLength), Token);
        }

        Assert.Empty(bodies.Ids());
        await Assert.ThrowsAsync<BodyMissingException>(async () => await bodies.OpenAsync(Id, Token));
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(5 * BodyFormat.ChunkLength)]
    public async Task A_deleted_body_is_missing_and_leaves_nothing(int size)
    {
        using var directory = new TemporaryDirectory();
        await using var database = Open(directory);
        var bodies = new BodyStore(database);
        var other = QueueId.Create(Id.Milliseconds, Id.RandomPart + 1);
        await WriteAsync(bodies, Id, Octets(size));
        await WriteAsync(bodies, other, Octets(size));
        Assert.Equal([Id, other], bodies.Ids());

        Write(database, batch => bodies.AddDeletion(batch, Id, size));
        Assert.Equal([other], bodies.Ids());
        var missing = await Assert.ThrowsAsync<BodyMissingException>(async () => await bodies.OpenAsync(Id, Token));
        Assert.Contains(Id.ToString(), missing.Message, StringComparison.Ordinal);

        Write(database, batch => bodies.AddDeletion(batch, other));
        Assert.Empty(bodies.Ids());
    }

    [Theory]
    [InlineData(1000, false)]
    [InlineData(5 * BodyFormat.ChunkLength, false)]
    [InlineData(5 * BodyFormat.ChunkLength, true)]
    public async Task A_flipped_bit_is_reported_and_not_delivered(int size, bool inChunk)
    {
        using var directory = new TemporaryDirectory();
        await using var database = Open(directory);
        var bodies = new BodyStore(database);
        await WriteAsync(bodies, Id, Octets(size));
        var key = new byte[inChunk ? BodyFormat.ChunkKeyLength : QueueId.ByteLength];
        Id.WriteTo(key);
        if (inChunk)
        {
            BodyFormat.WriteChunkKey(Id, 3, key);
        }

        var record = database.Store.Get(database.Bodies, key)!;
        for (var at = 0; at < record.Length; at += Math.Max(1, record.Length / 100))
        {
            record[at] ^= 0x10;
            Write(database, batch => batch.Put(database.Bodies, key, record));
            var corrupt = await Assert.ThrowsAsync<BodyCorruptException>(() => ReadAsync(bodies, Id));
            Assert.Equal(Id, corrupt.Id);
            record[at] ^= 0x10;
        }
    }

    [Fact]
    public async Task Concurrent_writers_share_syncs()
    {
        using var directory = new TemporaryDirectory();
        await using var database = Open(directory);
        var bodies = new BodyStore(database);
        const int Count = 400;
        var before = database.Journal.Size.Syncs;
        await Task.WhenAll(Enumerable.Range(0, Count).Select(i =>
            WriteAsync(bodies, QueueId.Create(1, (uint)i), Octets(2000))));
        Assert.Equal(Count, bodies.Ids().Count());
        Assert.InRange(database.Journal.Size.Syncs - before, 1, Count / 4);
    }

    internal static byte[] Octets(int size)
    {
        var octets = new byte[size];
        new Random(size).NextBytes(octets);
        return octets;
    }

    internal static Database Open(TemporaryDirectory directory) =>
        Database.Open(new DatabaseOptions { Path = directory.Path }, TimeProvider.System, NullLogger.Instance);

    internal static async Task<BodyReceipt> WriteAsync(BodyStore bodies, QueueId id, byte[] octets)
    {
        await Task.Yield();
        await using var writer = bodies.Begin(id);
        await writer.WriteAsync(new ReadOnlySequence<byte>(octets), Token);
        return await writer.CompleteAsync(Token);
    }

    internal static async Task<byte[]> ReadAsync(BodyStore bodies, QueueId id)
    {
        using var reader = await bodies.OpenAsync(id, Token);
        using var whole = new MemoryStream();
        for (var part = await reader.ReadAsync(Token); !part.IsEmpty; part = await reader.ReadAsync(Token))
        {
            whole.Write(part.Span);
        }

        Assert.Equal(reader.Size, whole.Length);
        return whole.ToArray();
    }

    internal static void Write(Database database, Action<RocksBatch> fill)
    {
        using var batch = new RocksBatch();
        fill(batch);
        database.Store.Write(batch, sync: false);
    }
}
