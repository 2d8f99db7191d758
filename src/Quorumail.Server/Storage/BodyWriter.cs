using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Hashing;
using Quorumail.Core;
using Quorumail.Core.Mail;
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

    private readonly GroupCommit _commit;
    private readonly Write _write;
    private byte[]? _buffer;
    private int _length;
    private XxHash128? _hash;
    private uint _chunks;
    private ValueTask _chunkWritten;
    private bool _ended;

    internal BodyWriter(GroupCommit commit, RocksFamily bodies, QueueId id, long sizeHint)
    {
        _commit = commit;
        Id = id;
        _write = new Write(bodies, id);
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
    /// <exception cref="StorageException">The disk has failed.</exception>
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
    /// <exception cref="StorageException">The disk has failed.</exception>
    public ValueTask WriteAsync(ReadOnlyMemory<byte> data, CancellationToken token) =>
        TryWrite(data.Span) ? ValueTask.CompletedTask : WriteChunksAsync(data, token);

    /// <summary>
    /// Ends the body and returns when all of it is on the disk. The token is looked at before the last write is handed
    /// over, not after: from then on the body may be durable whatever the caller thinks.
    /// </summary>
    /// <exception cref="StorageException">The disk has failed.</exception>
    public async ValueTask<BodyReceipt> CompleteAsync(CancellationToken token)
    {
        Invariant.Check(!_ended, "a body is completed once");
        await _chunkWritten;
        _chunkWritten = default;
        token.ThrowIfCancellationRequested();
        _ended = true;
        var buffer = _buffer!;
        _buffer = null;
        UInt128 hash;
        var octets = buffer.AsSpan(BodyFormat.HeadLength, _length);
        if (_hash is null)
        {
            hash = XxHash128.HashToUInt128(octets);
            BodyFormat.WriteHead(Id, Size, hash, chunked: false, buffer);
            _write.Whole(buffer, _length);
        }
        else
        {
            _hash.Append(octets);
            hash = _hash.GetCurrentHashAsUInt128();
            var head = new byte[BodyFormat.HeadLength];
            BodyFormat.WriteHead(Id, Size, hash, chunked: true, head);
            _write.End(buffer, _length, _chunks, head);
        }

        await _commit.WriteAsync(_write);
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
                _write.GiveUp(_chunks);
                await _commit.WriteAsync(_write);
            }
        }
        catch (StorageException)
        {
            // The disk has failed, which is reported elsewhere; what is left of the body goes when it is found at a start.
        }
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
                _chunkWritten = default;
                token.ThrowIfCancellationRequested();
                BeginChunk();
            }

            var taken = Math.Min(data.Length, BodyFormat.ChunkLength - _length);
            Append(data.Span[..taken]);
            data = data[taken..];
        }
    }

    private void BeginChunk()
    {
        Debug.Assert(_length == BodyFormat.ChunkLength, "all chunks but the last are full");
        var full = _buffer!;
        (_hash ??= new XxHash128()).Append(full.AsSpan(BodyFormat.HeadLength, _length));
        _write.Chunk(full, _length, _chunks);
        _chunks++;
        _length = 0;
        _buffer = Rent(BufferMax);
        _chunkWritten = _commit.WriteAsync(_write).Preserve();
    }

    /// <summary>The body's part of a group commit; gives each buffer back to the pool once it is in the batch.</summary>
    private sealed class Write(RocksFamily bodies, QueueId id) : WriteRequest
    {
        // A chunk's checksum goes right before the octets, at the end of the room that a head would take.
        private const int ChunkFrom = BodyFormat.HeadLength - BodyFormat.ChecksumLength;

        private byte[]? _buffer;
        private int _length;
        private uint _chunk;
        private byte[]? _head;
        private Step _step;

        private enum Step
        {
            Chunk,
            Whole,
            End,
            GiveUp,
        }

        public override bool NeedsSync => _step is Step.Whole or Step.End;

        // What follows a body is the proposal of its Enqueue.
        protected override bool ContinuesOnWriter => NeedsSync;

        public override int ByteCount => _length + BodyFormat.HeadLength;

        /// <summary>One chunk of several.</summary>
        public void Chunk(byte[] buffer, int length, uint number)
        {
            WriteChecksum(buffer, length, number);
            Set(Step.Chunk, buffer, length, number, null);
        }

        /// <summary>A body that fits its head.</summary>
        public void Whole(byte[] buffer, int length) => Set(Step.Whole, buffer, length, 0, null);

        /// <summary>The last chunk and the head.</summary>
        public void End(byte[] buffer, int length, uint number, byte[] head)
        {
            WriteChecksum(buffer, length, number);
            Set(Step.End, buffer, length, number, head);
        }

        /// <summary>Takes back the chunks below <paramref name="count"/>.</summary>
        public void GiveUp(uint count) => Set(Step.GiveUp, null, 0, count, null);

        public override void AddTo(RocksBatch batch)
        {
            Span<byte> key = stackalloc byte[BodyFormat.ChunkKeyLength];
            switch (_step)
            {
                case Step.Chunk:
                    AddChunk(batch, key);
                    break;
                case Step.Whole:
                    id.WriteTo(key);
                    batch.Put(bodies, key[..QueueId.ByteLength], _buffer.AsSpan(0, BodyFormat.HeadLength + _length));
                    break;
                case Step.End:
                    AddChunk(batch, key);
                    batch.Put(bodies, key[..QueueId.ByteLength], _head);
                    break;
                case Step.GiveUp:
                    BodyStore.AddDeletion(batch, bodies, id, _chunk, withHead: false);
                    break;
            }

            if (_buffer is not null)
            {
                ArrayPool<byte>.Shared.Return(_buffer);
                _buffer = null;
            }
        }

        private void WriteChecksum(byte[] buffer, int length, uint number) =>
            BinaryPrimitives.WriteUInt64LittleEndian(
                buffer.AsSpan(ChunkFrom), BodyFormat.Checksum(id, number, buffer.AsSpan(BodyFormat.HeadLength, length)));

        private void AddChunk(RocksBatch batch, Span<byte> key)
        {
            BodyFormat.WriteChunkKey(id, _chunk, key);
            batch.Put(bodies, key, _buffer.AsSpan(ChunkFrom, BodyFormat.ChecksumLength + _length));
        }

        private void Set(Step step, byte[]? buffer, int length, uint chunk, byte[]? head)
        {
            _step = step;
            _buffer = buffer;
            _length = length;
            _chunk = chunk;
            _head = head;
        }
    }
}
