using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Hashing;
using Quorumail.Core;
using Quorumail.Core.Mail;
using Quorumail.Server.Replication;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>
/// Writes one body. Up to 64 KiB stays in one pooled buffer until <see cref="CompleteAsync"/>; more goes to the disk as
/// it comes, unsynced, one chunk at a time. For one caller at a time. Disposing it before it is complete gives the body
/// up: chunks that were written are deleted.
/// </summary>
public sealed class BodyWriter : IAsyncDisposable
{
    private const int FirstBufferMin = 8 << 10;
    private const int BufferMax = BodyFormat.HeadLength + BodyFormat.ChunkLength;

    private readonly Database _database;
    private readonly BodyReplicas? _replicas;
    private readonly BodyCopies? _copies;
    private readonly BodyRecord _record = new();
    private byte[]? _buffer;
    private int _length;
    private XxHash128? _hash;
    private uint _chunks;
    private Task _chunkWritten = Task.CompletedTask;
    private bool _ended;

    internal BodyWriter(Database database, BodyReplicas? replicas, QueueId id, long sizeHint)
    {
        _database = database;
        _replicas = replicas;
        _copies = replicas?.Begin(id);
        Id = id;
        _buffer = Rent((int)Math.Clamp(sizeHint + BodyFormat.HeadLength, FirstBufferMin, BufferMax));
    }

    /// <summary>The queue id.</summary>
    public QueueId Id { get; }

    /// <summary>Octets written so far.</summary>
    public long Size { get; private set; }

    /// <summary>Takes octets if there is room for all of them without writing to the disk, which is so for most messages.</summary>
    /// <returns>Whether they were taken; if not, none was: use <see cref="WriteAsync(ReadOnlyMemory{byte}, CancellationToken)"/>.</returns>
    public bool TryWrite(ReadOnlySpan<byte> octets)
    {
        if (octets.Length > BodyFormat.ChunkLength - _length)
        {
            return false;
        }

        Append(octets);
        return true;
    }

    /// <summary>Takes octets; waits while the disk is behind.</summary>
    /// <exception cref="StorageException">The disk has failed, is nearly full, or has another body of this id.</exception>
    public async ValueTask WriteAsync(ReadOnlySequence<byte> data, CancellationToken token)
    {
        foreach (var segment in data)
        {
            if (!TryWrite(segment.Span))
            {
                await WriteChunksAsync(segment, token);
            }
        }
    }

    /// <summary>Takes octets; waits while the disk is behind.</summary>
    /// <exception cref="StorageException">The disk has failed, is nearly full, or has another body of this id.</exception>
    public ValueTask WriteAsync(ReadOnlyMemory<byte> data, CancellationToken token) =>
        TryWrite(data.Span) ? ValueTask.CompletedTask : WriteChunksAsync(data, token);

    /// <summary>
    /// Ends the body and returns when it is kept as a message's must be: on enough nodes' disks; or, where there is this node
    /// alone, as <see cref="HandOverAsync"/> leaves it. A small one that the log is to carry is nowhere yet: it is in the receipt.
    /// </summary>
    /// <exception cref="StorageException">The disk has failed, or has another body of this id.</exception>
    public async ValueTask<BodyReceipt> KeepAsync(CancellationToken token)
    {
        if (_hash is null && _length <= BodyFormat.CarriedMax && _replicas is null or { CarriesBodies: true } && _database.Carried.HasRoom)
        {
            token.ThrowIfCancellationRequested();
            return Carry();
        }

        var receipt = await HandOverAsync(token);
        return _copies is null ? receipt : receipt with { Holders = await _replicas!.KeepAsync(_copies, _record.WaitAsync(), token) };
    }

    /// <summary>
    /// Ends the body and returns when all of it is on the disk. The token is looked at before the last write is handed
    /// over, not after: from then on the body may be durable whatever the caller thinks.
    /// </summary>
    /// <exception cref="StorageException">The disk has failed.</exception>
    public async ValueTask<BodyReceipt> CompleteAsync(CancellationToken token)
    {
        var receipt = await HandOverAsync(token);
        await _record.WaitAsync();
        return receipt;
    }

    /// <summary>
    /// Ends the body and hands it to the journal. It is on the disk no later than any entry that this node's log, standing
    /// alone, takes after the call: who waits for that need not wait for the body.
    /// </summary>
    /// <exception cref="StorageException">The disk has failed.</exception>
    public async ValueTask<BodyReceipt> HandOverAsync(CancellationToken token)
    {
        Invariant.Check(!_ended, "a body is completed once");
        await _chunkWritten;
        token.ThrowIfCancellationRequested();
        CheckId();
        _ended = true;
        var buffer = _buffer!;
        _buffer = null;
        UInt128 hash;
        var octets = buffer.AsMemory(BodyFormat.HeadLength, _length);
        if (_hash is null)
        {
            hash = XxHash128.HashToUInt128(octets.Span);
            BodyFormat.WriteHead(Id, Size, hash, chunked: false, buffer);
            _record.SetHead(Id, buffer.AsMemory(0, BodyFormat.HeadLength + _length));
        }
        else
        {
            _hash.Append(octets.Span);
            hash = _hash.GetCurrentHashAsUInt128();
            SetChunk(buffer);
            _copies?.Add(_chunks, _record.Value.Span);
            await _database.BodyJournal.WriteAsync(_record);
            await _record.WaitAsync();
            BodyFormat.WriteHead(Id, Size, hash, chunked: true, buffer);
            _record.SetHead(Id, buffer.AsMemory(0, BodyFormat.HeadLength));
        }

        _copies?.Add(BodyFrame.Head, _record.Value.Span);
        await _database.BodyJournal.WriteAsync(_record);
        ArrayPool<byte>.Shared.Return(buffer);
        return new BodyReceipt(Size, BodyFormat.HashBytes(hash));
    }

    /// <summary>Gives the body up unless it is complete.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_ended)
        {
            return;
        }

        _ended = true;
        if (_buffer is not null)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = null;
        }

        try
        {
            await _chunkWritten;
            if (_chunks > 0)
            {
                await _database.Commits.WriteAsync(new Retraction(_database.Bodies, Id, _chunks));
            }
        }
        catch (StorageException)
        {
            // The disk has failed, which is reported elsewhere; what is left of the body goes when it is found at a start.
        }
    }

    private BodyReceipt Carry()
    {
        Invariant.Check(!_ended, "a body is completed once");
        _ended = true;
        var buffer = _buffer!;
        _buffer = null;
        var hash = XxHash128.HashToUInt128(buffer.AsSpan(BodyFormat.HeadLength, _length));
        BodyFormat.WriteHead(Id, Size, hash, chunked: false, buffer);
        var record = buffer.AsSpan(0, BodyFormat.HeadLength + _length).ToArray();
        ArrayPool<byte>.Shared.Return(buffer);
        return new BodyReceipt(Size, BodyFormat.HashBytes(hash), Carried: record);
    }

    private static byte[] Rent(int length) => ArrayPool<byte>.Shared.Rent(length);

    private void Append(ReadOnlySpan<byte> octets)
    {
        var used = BodyFormat.HeadLength + _length;
        if (_buffer!.Length < used + octets.Length)
        {
            var larger = Rent(Math.Clamp(4 * used, used + octets.Length, BufferMax));
            _buffer.AsSpan(0, used).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }

        octets.CopyTo(_buffer.AsSpan(used));
        _length += octets.Length;
        Size += octets.Length;
    }

    private async ValueTask WriteChunksAsync(ReadOnlyMemory<byte> data, CancellationToken token)
    {
        Invariant.Check(!_ended, "nothing is written to a body that has ended");
        while (!data.IsEmpty)
        {
            if (_length == BodyFormat.ChunkLength)
            {
                await _chunkWritten;
                if (_copies is not null)
                {
                    await _copies.PaceAsync(token);
                }

                token.ThrowIfCancellationRequested();
                ThrowIfShort();
                BeginChunk();
            }

            var taken = Math.Min(data.Length, BodyFormat.ChunkLength - _length);
            Append(data.Span[..taken]);
            data = data[taken..];
        }
    }

    // Its message was begun before; but a body under way may be large, each octet is written twice, and many come at a time.
    private void ThrowIfShort()
    {
        if (_database.Health.Shortage is { } shortage)
        {
            throw new StorageException(shortage);
        }
    }

    private void BeginChunk()
    {
        Debug.Assert(_length == BodyFormat.ChunkLength, "all chunks but the last are full");
        CheckId();
        var full = _buffer!;
        (_hash ??= new XxHash128()).Append(full.AsSpan(BodyFormat.HeadLength, _length));
        SetChunk(full);
        _copies?.Add(_chunks, _record.Value.Span);
        _chunks++;
        _length = 0;
        _buffer = Rent(BufferMax);
        _chunkWritten = WriteChunkAsync(full);
    }

    // Another node may have made the same id for a message whose copy is here, and acknowledged.
    private void CheckId()
    {
        if (_copies is not null && _chunks == 0 && BodyRecords.HasHead(_database, Id))
        {
            throw new StorageException($"The body of message {Id} can't be written: this disk has another message of that id. Sent again, it gets another id.");
        }
    }

    // A chunk's checksum goes right before the octets, at the end of the room that a head would take.
    private void SetChunk(byte[] buffer)
    {
        const int From = BodyFormat.HeadLength - BodyFormat.ChecksumLength;
        BinaryPrimitives.WriteUInt64LittleEndian(
            buffer.AsSpan(From), BodyFormat.Checksum(Id, _chunks, buffer.AsSpan(BodyFormat.HeadLength, _length)));
        _record.SetChunk(Id, _chunks, buffer.AsMemory(From, BodyFormat.ChecksumLength + _length));
    }

    private async Task WriteChunkAsync(byte[] buffer)
    {
        await _database.BodyJournal.WriteAsync(_record);
        ArrayPool<byte>.Shared.Return(buffer);
        await _record.WaitAsync();
    }

    /// <summary>Takes back the chunks that were written.</summary>
    private sealed class Retraction(RocksFamily bodies, QueueId id, uint chunks) : WriteRequest
    {
        public override bool NeedsSync => false;

        public override int ByteCount => (int)chunks * BodyFormat.ChunkKeyLength;

        public override void AddTo(RocksBatch batch) => BodyStore.AddDeletion(batch, bodies, id, chunks, withHead: false);
    }
}
