using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using Quorumail.Core.Mail;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>Reads one body in order, a chunk at a time, and verifies it: each chunk, and at the end the whole. For one caller at a time.</summary>
public sealed class BodyReader : IDisposable
{
    private readonly Database _database;
    private readonly Action<QueueId>? _damaged;
    private readonly QueueId _id;
    private readonly UInt128 _hash;
    private readonly int _chunkLength;
    private readonly XxHash128? _running;
    private byte[]? _buffer;
    private ReadOnlyMemory<byte> _whole;
    private uint _next;
    private long _left;

    private BodyReader(Database database, QueueId id, byte[] record, int length, ReadOnlySpan<byte> hash, Action<QueueId>? damaged)
    {
        _database = database;
        _damaged = damaged;
        _id = id;
        _buffer = record;
        (Size, _hash, _chunkLength) = BodyFormat.ReadHead(id, record.AsSpan(0, length), hash);
        _left = Size;
        if (_chunkLength > 0)
        {
            _running = new XxHash128();
            return;
        }

        _whole = record.AsMemory(BodyFormat.HeadLength, length - BodyFormat.HeadLength);
        Verify(XxHash128.HashToUInt128(_whole.Span));
    }

    /// <summary>Octets in all.</summary>
    public long Size { get; }

    /// <summary>The next octets; empty at the end. Valid until the next call. What was returned before the end has its own checksum verified.</summary>
    /// <exception cref="BodyCorruptException">It is not what was written.</exception>
    /// <exception cref="BodyMissingException">It was deleted while it was read.</exception>
    public ValueTask<ReadOnlyMemory<byte>> ReadAsync(CancellationToken token)
    {
        token.ThrowIfCancellationRequested();
        ObjectDisposedException.ThrowIf(_buffer is null, this);
        if (_left == 0)
        {
            return ValueTask.FromResult(ReadOnlyMemory<byte>.Empty);
        }

        return ValueTask.FromResult(_running is null ? TakeWhole() : NextChunk());
    }

    public void Dispose()
    {
        if (_buffer is not null)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = null;
            _whole = default;
        }
    }

    /// <param name="database">Where it is.</param>
    /// <param name="id">Whose body.</param>
    /// <param name="hash">Hash that it must have; empty: any.</param>
    /// <param name="damaged">Told when a piece of it turns out not to be what was written.</param>
    internal static BodyReader Open(Database database, QueueId id, ReadOnlySpan<byte> hash = default, Action<QueueId>? damaged = null)
    {
        Span<byte> key = stackalloc byte[QueueId.ByteLength];
        id.WriteTo(key);
        if (!database.Carried.TryRent(id, out var record, out var length))
        {
            record = Rent(database, id, key, out length) ?? throw new BodyMissingException(id, "there is no record of it");
        }

        try
        {
            return new BodyReader(database, id, record, length, hash, damaged);
        }
        catch
        {
            ArrayPool<byte>.Shared.Return(record);
            throw;
        }
    }

    private static byte[]? Rent(Database database, QueueId id, ReadOnlySpan<byte> key, out int length)
    {
        try
        {
            return database.Store.Rent(database.Bodies, key, out length);
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

    private ReadOnlyMemory<byte> TakeWhole()
    {
        _left = 0;
        return _whole;
    }

    private ReadOnlyMemory<byte> NextChunk()
    {
        try
        {
            return ReadChunk();
        }
        catch (StorageException damage) when (damage is BodyCorruptException or BodyMissingException)
        {
            _damaged?.Invoke(_id);
            throw;
        }
    }

    private ReadOnlyMemory<byte> ReadChunk()
    {
        Span<byte> key = stackalloc byte[BodyFormat.ChunkKeyLength];
        BodyFormat.WriteChunkKey(_id, _next, key);
        var record = Rent(_database, _id, key, out var length)
            ?? throw new BodyMissingException(_id, $"chunk {_next} is gone");
        ArrayPool<byte>.Shared.Return(_buffer!);
        _buffer = record;
        var octets = record.AsMemory(0, length);
        if (octets.Length != BodyFormat.ChecksumLength + Math.Min(_left, _chunkLength)
            || BinaryPrimitives.ReadUInt64LittleEndian(octets.Span)
                != BodyFormat.Checksum(_id, _next, octets.Span[BodyFormat.ChecksumLength..]))
        {
            throw new BodyCorruptException(_id, $"chunk {_next} does not have its checksum");
        }

        octets = octets[BodyFormat.ChecksumLength..];
        _running!.Append(octets.Span);
        _next++;
        _left -= octets.Length;
        if (_left == 0)
        {
            Verify(_running.GetCurrentHashAsUInt128());
        }

        return octets;
    }

    private void Verify(UInt128 actual)
    {
        if (actual != _hash)
        {
            throw new BodyCorruptException(_id, "the whole does not have its hash");
        }
    }
}
