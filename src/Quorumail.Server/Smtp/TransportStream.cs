using System.IO.Pipelines;

namespace Quorumail.Server.Smtp;

/// <summary>A connection's two pipes as one stream, for TLS to stand on. The pipes' owner completes them.</summary>
internal sealed class TransportStream(PipeReader input, PipeWriter output) : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var result = await input.ReadAsync(cancellationToken);
        var data = result.Buffer;
        if (data.IsEmpty)
        {
            input.AdvanceTo(data.End);
            return result.IsCanceled ? throw new OperationCanceledException() : 0;
        }

        // A read of no octets waits until there are some, so that nothing is held meanwhile.
        var part = data.Slice(0, Math.Min(data.Length, buffer.Length));
        var position = 0;
        foreach (var segment in part)
        {
            segment.Span.CopyTo(buffer.Span[position..]);
            position += segment.Length;
        }

        input.AdvanceTo(part.End);
        return position;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        await output.WriteAsync(buffer, cancellationToken);

    public override async Task FlushAsync(CancellationToken cancellationToken) => await output.FlushAsync(cancellationToken);

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
        // Writes are flushed as they come.
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
