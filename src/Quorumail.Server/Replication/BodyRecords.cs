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
    /// <param name="hash">Hash that it must have; empty: any.</param>
    /// <param name="take">Takes each; valid until its task ends; false ends the reading.</param>
    /// <returns>Whether all were taken.</returns>
    /// <exception cref="BodyMissingException">It is not there, or not all of it.</exception>
    /// <exception cref="BodyCorruptException">It is damaged, or another message's.</exception>
    public static async ValueTask<bool> ReadAsync(
        Database database, QueueId id, ReadOnlyMemory<byte> hash, Func<uint, ReadOnlyMemory<byte>, ValueTask<bool>> take)
    {
        var head = Rent(database, id, BodyFrame.Head, out var headLength) ?? throw new BodyMissingException(id, "there is no record of it");
        try
        {
            var (size, _, chunkLength) = BodyFormat.ReadHead(id, head.AsSpan(0, headLength), hash.Span);
            if (!IsSound(id, BodyFrame.Head, head.AsSpan(0, headLength)))
            {
                throw new BodyCorruptException(id, "the whole does not have its hash");
            }

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
    /// <exception cref="BodyCorruptException">It is, and can't be read.</exception>
    public static bool Exists(Database database, QueueId id, uint number)
    {
        if (Rent(database, id, number, out _) is not { } record)
        {
            return false;
        }

        ArrayPool<byte>.Shared.Return(record);
        return true;
    }

    /// <summary>Whether a head is there, damaged or not.</summary>
    public static bool HasHead(Database database, QueueId id)
    {
        try
        {
            return Exists(database, id, BodyFrame.Head);
        }
        catch (BodyCorruptException)
        {
            return true;
        }
    }

    /// <summary>A record; null if it is not there.</summary>
    /// <exception cref="RocksException">It can't be read.</exception>
    public static byte[]? Get(Database database, QueueId id, uint number)
    {
        if (number == BodyFrame.Head && database.Carried.TryGet(id, out var carried))
        {
            return carried.ToArray();
        }

        Span<byte> key = stackalloc byte[BodyFormat.ChunkKeyLength];
        return database.Store.Get(database.Bodies, KeyOf(id, number, key));
    }

    /// <summary>
    /// Writes one record where there is none, or a damaged one. The same record that is there already goes to the journal alone,
    /// once more: who has put it there may still wait for the disk.
    /// </summary>
    /// <param name="database">Where.</param>
    /// <param name="id">Whose body.</param>
    /// <param name="number">Of the chunk, or the head's.</param>
    /// <param name="value">The record, sound.</param>
    /// <param name="replaces">Whether it takes the place of another sound one, too.</param>
    /// <returns>Null if another record is there: two messages have the same id. If it is a head, it is durable when this ends.</returns>
    /// <exception cref="StorageException">The disk has failed.</exception>
    public static async ValueTask<BodyRecord?> WriteAsync(Database database, QueueId id, uint number, ReadOnlyMemory<byte> value, bool replaces)
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

        var (isThere, isSame, isSound) = Compare(database, id, number, value.Span);
        if (isSame)
        {
            database.BodyJournal.WriteAgain(record);
            return record;
        }

        if (isSound && !replaces)
        {
            return null;
        }

        if (isThere)
        {
            await database.Commits.WriteAsync(new Removal(database, id, number));
        }

        await database.BodyJournal.WriteAsync(record);
        return record;
    }

    /// <summary>Deletes whatever of a body is there.</summary>
    public static ValueTask RemoveAsync(Database database, QueueId id) => database.Commits.WriteAsync(new Removal(database, id, null));

    private static (bool IsThere, bool IsSame, bool IsSound) Compare(Database database, QueueId id, uint number, ReadOnlySpan<byte> value)
    {
        byte[]? found = null;
        try
        {
            found = Rent(database, id, number, out var length);
            var there = found.AsSpan(0, length);
            return found is null ? default : (true, there.SequenceEqual(value), IsSound(id, number, there));
        }
        catch (BodyCorruptException)
        {
            return (true, false, false);
        }
        finally
        {
            if (found is not null)
            {
                ArrayPool<byte>.Shared.Return(found);
            }
        }
    }

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

    /// <summary>Deletes one record, or all of a body.</summary>
    private sealed class Removal(Database database, QueueId id, uint? number) : WriteRequest
    {
        public override bool NeedsSync => false;

        public override int ByteCount => BodyFormat.ChunkKeyLength;

        public override void AddTo(RocksBatch batch)
        {
            if (number is not { } one)
            {
                new BodyStore(database).AddDeletion(batch, id);
                return;
            }

            Span<byte> key = stackalloc byte[BodyFormat.ChunkKeyLength];
            batch.SingleDelete(database.Bodies, KeyOf(id, one, key));
        }
    }
}
