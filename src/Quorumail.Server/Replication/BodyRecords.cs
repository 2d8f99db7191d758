using System.Buffers;
using System.Buffers.Binary;
using Quorumail.Core.Mail;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Replication;

/// <summary>Bodies as records of the database, as they travel between nodes: chunks in order, the head last.</summary>
internal static class BodyRecords
{
    /// <summary>Reads all records of a body, verified.</summary>
    /// <param name="database">Where they are.</param>
    /// <param name="id">Whose body.</param>
    /// <param name="take">Takes each; valid until its task ends; false ends the reading.</param>
    /// <returns>Whether all were taken; false, too, if there is no such body.</returns>
    /// <exception cref="StorageException">It is damaged.</exception>
    public static async ValueTask<bool> ReadAsync(Database database, QueueId id, Func<uint, ReadOnlyMemory<byte>, ValueTask<bool>> take)
    {
        if (Rent(database, id, BodyFrame.Head, out var headLength) is not { } head)
        {
            return false;
        }

        try
        {
            var (size, _, chunkLength) = BodyFormat.ReadHead(id, head.AsSpan(0, headLength));
            for (uint number = 0; chunkLength > 0 && number < BodyFormat.ChunkCount(size); number++)
            {
                if (!await TakeChunkAsync(database, id, number, take))
                {
                    return false;
                }
            }

            return await take(BodyFrame.Head, head.AsMemory(0, headLength));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(head);
        }
    }

    /// <summary>Whether a record is what was written under this name.</summary>
    public static bool IsSound(QueueId id, uint number, ReadOnlySpan<byte> record)
    {
        try
        {
            if (number != BodyFrame.Head)
            {
                return record.Length is > BodyFormat.ChecksumLength and <= BodyFormat.ChecksumLength + BodyFormat.ChunkLength
                    && BinaryPrimitives.ReadUInt64LittleEndian(record) == BodyFormat.Checksum(id, number, record[BodyFormat.ChecksumLength..]);
            }

            var (_, hash, chunkLength) = BodyFormat.ReadHead(id, record);
            return chunkLength > 0 || hash == System.IO.Hashing.XxHash128.HashToUInt128(record[BodyFormat.HeadLength..]);
        }
        catch (BodyCorruptException)
        {
            return false;
        }
    }

    /// <summary>Whether a record is there.</summary>
    public static bool Exists(Database database, QueueId id, uint number)
    {
        if (Rent(database, id, number, out _) is not { } record)
        {
            return false;
        }

        ArrayPool<byte>.Shared.Return(record);
        return true;
    }

    /// <summary>A record; null if it is not there.</summary>
    public static byte[]? Get(Database database, QueueId id, uint number)
    {
        if (number == BodyFrame.Head && database.Carried.TryGet(id, out var carried))
        {
            return carried.ToArray();
        }

        Span<byte> key = stackalloc byte[BodyFormat.ChunkKeyLength];
        return database.Store.Get(database.Bodies, KeyOf(id, number, key));
    }

    /// <summary>Writes one record; durable when what it returns ends, if it is a head.</summary>
    public static async ValueTask<BodyRecord> WriteAsync(Database database, QueueId id, uint number, ReadOnlyMemory<byte> value)
    {
        var record = new BodyRecord();
        if (number == BodyFrame.Head)
        {
            record.SetHead(id, value);
        }
        else
        {
            record.SetChunk(id, number, value);
        }

        await database.BodyJournal.WriteAsync(record);
        return record;
    }

    /// <summary>Puts a body in place of what is there.</summary>
    /// <param name="database">Where.</param>
    /// <param name="id">Whose body.</param>
    /// <param name="size">Octets that it must have.</param>
    /// <param name="hash">Hash that it must have.</param>
    /// <param name="fetch">Gives the records.</param>
    /// <param name="token">Ends it.</param>
    /// <exception cref="StorageException">What was given is not the body.</exception>
    public static async Task ReplaceAsync(
        Database database, QueueId id, long size, ReadOnlyMemory<byte> hash, Func<uint, Task<ReadOnlyMemory<byte>>> fetch, CancellationToken token)
    {
        var head = await fetch(BodyFrame.Head);
        if (!IsSound(id, BodyFrame.Head, head.Span))
        {
            throw new BodyCorruptException(id, "the copy's head is damaged");
        }

        var (foundSize, foundHash, chunkLength) = BodyFormat.ReadHead(id, head.Span);
        if (foundSize != size || !BodyFormat.HashBytes(foundHash).AsSpan().SequenceEqual(hash.Span))
        {
            throw new BodyCorruptException(id, "the copy is another message's");
        }

        await database.Commits.WriteAsync(new Removal(database, id));
        for (uint number = 0; chunkLength > 0 && number < BodyFormat.ChunkCount(size); number++)
        {
            token.ThrowIfCancellationRequested();
            var chunk = await fetch(number);
            if (!IsSound(id, number, chunk.Span))
            {
                throw new BodyCorruptException(id, $"chunk {number} of the copy is damaged");
            }

            await (await WriteAsync(database, id, number, chunk)).WaitAsync();
        }

        await (await WriteAsync(database, id, BodyFrame.Head, head)).WaitAsync();
    }

    /// <summary>Deletes whatever of a body is there.</summary>
    public static ValueTask RemoveAsync(Database database, QueueId id) => database.Commits.WriteAsync(new Removal(database, id));

    private static async ValueTask<bool> TakeChunkAsync(Database database, QueueId id, uint number, Func<uint, ReadOnlyMemory<byte>, ValueTask<bool>> take)
    {
        var chunk = Rent(database, id, number, out var length) ?? throw new BodyMissingException(id, $"chunk {number} is gone");
        try
        {
            return IsSound(id, number, chunk.AsSpan(0, length))
                ? await take(number, chunk.AsMemory(0, length))
                : throw new BodyCorruptException(id, $"chunk {number} does not have its checksum");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }

    private static byte[]? Rent(Database database, QueueId id, uint number, out int length)
    {
        if (number == BodyFrame.Head && database.Carried.TryRent(id, out var carried, out length))
        {
            return carried;
        }

        Span<byte> key = stackalloc byte[BodyFormat.ChunkKeyLength];
        try
        {
            return database.Store.Rent(database.Bodies, KeyOf(id, number, key), out length);
        }
        catch (RocksException error) when (error.IsCorruption)
        {
            throw new BodyCorruptException(id, error.Message, error);
        }
        catch (RocksException error)
        {
            throw new StorageException($"The body of message {id} can't be read: {error.Message}.", error);
        }
    }

    private static ReadOnlySpan<byte> KeyOf(QueueId id, uint number, Span<byte> key)
    {
        if (number == BodyFrame.Head)
        {
            id.WriteTo(key);
            return key[..QueueId.ByteLength];
        }

        BodyFormat.WriteChunkKey(id, number, key);
        return key;
    }

    private sealed class Removal(Database database, QueueId id) : WriteRequest
    {
        public override bool NeedsSync => false;

        public override int ByteCount => BodyFormat.ChunkKeyLength;

        public override void AddTo(RocksBatch batch) => new BodyStore(database).AddDeletion(batch, id);
    }
}
