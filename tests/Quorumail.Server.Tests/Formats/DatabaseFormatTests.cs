using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Limits;
using Quorumail.Server.Queue;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;
using Quorumail.Server.Tests.Storage;
using Quorumail.Tests.Formats;

namespace Quorumail.Server.Tests.Formats;

/// <summary>The rows of the database: the queue's and the limits' with their keys, and bodies.</summary>
public sealed class DatabaseFormatTests
{
    private const long Start = 1_600_000_000_000;

    private static readonly QueueId Id = QueueFormatTests.Id;

    private static readonly QueueId Gone = QueueId.Create(Start, 3);

    private static readonly QueueId Never = QueueId.Create(Start, 4);

    private static readonly byte[] HeadKey = "queue-head"u8.ToArray();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_queues_rows_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("database.golden");
        using var here = new TemporaryDirectory();
        using var there = new TemporaryDirectory();
        await using var first = BodyStoreTests.Open(here);
        await using var made = Open(first);
        Apply(made);
        await made.FlushAsync(Token);
        foreach (var (key, value) in Rows(first))
        {
            file.Writes(key, value);
        }

        await using var second = BodyStoreTests.Open(there);
        using (var batch = new RocksBatch())
        {
            foreach (var name in file.Names)
            {
                var isHead = name == "head";
                batch.Put(isHead ? second.Meta : second.Queue, isHead ? HeadKey : Convert.FromHexString(name), file[name]);
            }

            second.Store.Write(batch, sync: false);
        }

        file.Close();
        await using var read = Open(second);
        Assert.Equal(made.AppliedIndex, read.AppliedIndex);
        Assert.Equal(await SnapshotAsync(made), await SnapshotAsync(read));

        using (var batch = new RocksBatch())
        {
            var head = file["head"];
            head[0]++;
            batch.Put(second.Meta, HeadKey, head);
            second.Store.Write(batch, sync: false);
        }

        Assert.Contains("format 2", Assert.Throws<StorageException>(() => Open(second)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bodies_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("bodies.golden");
        byte[] octets = [.. "body"u8];
        var hash = System.IO.Hashing.XxHash128.HashToUInt128(octets);
        var inline = new byte[BodyFormat.HeadLength + octets.Length];
        BodyFormat.WriteHead(Id, octets.Length, hash, chunked: false, inline);
        octets.CopyTo(inline, BodyFormat.HeadLength);
        file.Holds("head", ((long)octets.Length, hash.ToString(), 0), _ => inline, bytes => Head(bytes));

        var head = new byte[BodyFormat.HeadLength];
        BodyFormat.WriteHead(Id, 200_000, hash, chunked: true, head);
        file.Holds("head-of-chunks", (200_000L, hash.ToString(), BodyFormat.ChunkLength), _ => head, bytes => Head(bytes));

        var key = new byte[BodyFormat.ChunkKeyLength];
        BodyFormat.WriteChunkKey(Id, 2, key);
        file.Writes("chunk-key", key);
        file.Writes("chunk-checksum", BitConverter.GetBytes(BodyFormat.Checksum(Id, 2, octets)));
        file.Writes("hash", BodyFormat.HashBytes(hash));
        file.Close();

        head[0]++;
        BitConverter.TryWriteBytes(head.AsSpan(32), BodyFormat.Checksum(Id, uint.MaxValue, head.AsSpan(0, 32)));
        Assert.Contains("format 2", Assert.Throws<BodyCorruptException>(() => BodyFormat.ReadHead(Id, head)).Message, StringComparison.Ordinal);
    }

    private static (long, string, int) Head(byte[] bytes)
    {
        var (size, hash, chunkLength) = BodyFormat.ReadHead(Id, bytes);
        return (size, hash.ToString(), chunkLength);
    }

    /// <summary>A history that leaves rows of every kind.</summary>
    private static void Apply(ReplicatedQueue state)
    {
        var gone = QueueFormatTests.Enqueue with { Id = Gone, Holders = [new BodyHolder("n1", 3)] };
        QueueCommand[] commands =
        [
            new NodesChangedCommand([new BodyHolder("n1", 3), new BodyHolder("n2", 70_000)], 1),
            new NodeUpCommand("n1", 3, 1),
            new OwnerRestartedCommand("n1"),
            QueueFormatTests.Enqueue,
            gone,
            new AttemptStartedCommand(Id, 3, 1, [0]),
            new AttemptEndedCommand(Id, 3, 1, [new RecipientResult(0, RecipientOutcome.InDoubt, "no reply", "4.4.2", "mx", Start + 60_000)], []),
            new AbandonCommand(Never),
            new AdministerCommand(QueueAction.Delete, new QueueSelection { Ids = [Gone] }, 1, "spam"),
            new SuspendCommand(SuspensionScope.Destination, "b.example", "asked"),
            new NodeDownCommand("n1", 3),
        ];
        LimitCommand[] limits =
        [
            new DefineLimitCommand(new LimitDefinition("slots", LimitKind.Concurrency, 3, 1_000_000, LimitPolicy.Closed)),
            new WantSlotCommand("slots", "mx.example", "n1"),
        ];
        ReadOnlyMemory<byte>[] entry =
        [
            .. commands.Select(command => (ReadOnlyMemory<byte>)QueueEncoding.Encode(command)),
            .. limits.Select(command => (ReadOnlyMemory<byte>)ReplicatedLimits.Encode(command)),
        ];
        var answers = new ReadOnlyMemory<byte>[1];
        for (var i = 0; i < entry.Length; i++)
        {
            state.Apply(i + 1, Start + i, [entry[i]], answers);
            Assert.True(i >= commands.Length || answers[0].Span[0] == (byte)ApplyStatus.Accepted, $"{commands[Math.Min(i, commands.Length - 1)]}: {answers[0].Span[0]}");
        }
    }

    private static List<(string Key, byte[] Value)> Rows(Database database)
    {
        List<(string, byte[])> rows = [("head", database.Store.Get(database.Meta, HeadKey)!)];
        using var iterator = database.Store.Iterate(database.Queue);
        for (var found = iterator.Seek([]); found; found = iterator.Next())
        {
            rows.Add((Convert.ToHexString(iterator.Key), iterator.Value.ToArray()));
        }

        return rows;
    }

    private static ReplicatedQueue Open(Database database) => new(database, new BodyStore(database), TimeSpan.FromDays(1), TimeProvider.System);

    private static async Task<string> SnapshotAsync(ReplicatedQueue state)
    {
        using var stream = new MemoryStream();
        await state.SaveSnapshotAsync(stream, Token);
        return Convert.ToHexString(stream.ToArray());
    }
}
