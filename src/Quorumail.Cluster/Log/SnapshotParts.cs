using System.Buffers.Binary;

namespace Quorumail.Cluster.Log;

/// <summary>Writes one state's part of a snapshot, whose length is not known before: length and bytes, again and again, then a 0.</summary>
internal sealed class SnapshotParts(Stream destination) : Stream
{
    private readonly byte[] _length = new byte[4];

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Writes the end.</summary>
    public async ValueTask EndAsync(CancellationToken token) => await destination.WriteAsync(new byte[4], token);

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!buffer.IsEmpty)
        {
            BinaryPrimitives.WriteInt32LittleEndian(_length, buffer.Length);
            await destination.WriteAsync(_length, cancellationToken);
            await destination.WriteAsync(buffer, cancellationToken);
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count) =>
        throw new NotSupportedException("A snapshot is written asynchronously.");

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
