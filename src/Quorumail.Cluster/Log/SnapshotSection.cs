using System.Buffers.Binary;

namespace Quorumail.Cluster.Log;

/// <summary>Reads what <see cref="SnapshotParts"/> wrote, from a file, up to its end.</summary>
internal sealed class SnapshotSection(Stream source) : Stream
{
    private readonly byte[] _number = new byte[8];
    private int _left;
    private bool _ended;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>The index that follows the end; to be asked for before anything is read.</summary>
    public async ValueTask<long> IndexAsync(CancellationToken token)
    {
        long start = source.Position;
        while (await NextLengthAsync(token) is > 0 and int length)
        {
            source.Position += length;
        }

        await source.ReadExactlyAsync(_number, token);
        source.Position = start;
        return BinaryPrimitives.ReadInt64LittleEndian(_number);
    }

    /// <summary>Skips what has not been read.</summary>
    public async ValueTask DrainAsync(CancellationToken token)
    {
        byte[] buffer = new byte[64 << 10];
        while (await ReadAsync(buffer, token) > 0)
        {
        }
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_ended || buffer.IsEmpty)
        {
            return 0;
        }

        if (_left == 0)
        {
            _left = await NextLengthAsync(cancellationToken);
            _ended = _left == 0;
            if (_ended)
            {
                return 0;
            }
        }

        int read = await source.ReadAsync(buffer[..Math.Min(_left, buffer.Length)], cancellationToken);
        _left -= read;
        return read > 0 ? read : throw new InvalidDataException("The snapshot ends in the middle of a state.");
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) =>
        throw new NotSupportedException("A snapshot is read asynchronously.");

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private async ValueTask<int> NextLengthAsync(CancellationToken token)
    {
        await source.ReadExactlyAsync(_number.AsMemory(0, 4), token);
        int length = BinaryPrimitives.ReadInt32LittleEndian(_number);
        return length >= 0 ? length : throw new InvalidDataException("The snapshot is damaged.");
    }
}
