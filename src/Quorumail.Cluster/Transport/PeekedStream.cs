using System.Buffers;
using System.IO.Pipelines;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// A connection's bytes as a stream for TLS. If the first answer is no TLS but a refusal in plain frames, reading throws
/// <see cref="PlainAnswerException"/> with what it says.
/// </summary>
internal sealed class PeekedStream(IDuplexPipe pipe) : Stream
{
    private bool _isPeeked;

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
        var result = await pipe.Input.ReadAsync(cancellationToken);
        var input = result.Buffer;
        if (!_isPeeked && !input.IsEmpty)
        {
            while (!result.IsCompleted && input.Length < FrameLimits.HandshakeMax && IsRefusalBegun(input))
            {
                pipe.Input.AdvanceTo(input.Start, input.End);
                result = await pipe.Input.ReadAsync(cancellationToken);
                input = result.Buffer;
            }

            _isPeeked = true;
            if (IsRefusal(input, out var refusal))
            {
                pipe.Input.AdvanceTo(input.End);
                throw new PlainAnswerException(refusal);
            }
        }

        if (result.IsCanceled)
        {
            throw new OperationCanceledException();
        }

        var length = (int)Math.Min(buffer.Length, input.Length);
        input.Slice(0, length).CopyTo(buffer.Span);
        pipe.Input.AdvanceTo(input.GetPosition(length));
        return length;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var result = await pipe.Output.WriteAsync(buffer, cancellationToken);
        if (result.IsCompleted)
        {
            throw new IOException("the connection has ended");
        }
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    // A TLS record of type 20 has a version (3.x) where our length has a zero.
    private static bool IsRefusalBegun(in ReadOnlySequence<byte> input) =>
        input.FirstSpan[0] == (byte)FrameType.Refuse
        && (input.Length < 2 || input.Slice(1, 1).FirstSpan[0] == 0)
        && FrameCodec.ReadHeader(input, isAuthenticated: false, out var header) switch
        {
            FrameStatus.NeedInput => true,
            FrameStatus.Complete => input.Length < FrameLimits.HeaderSize + header.BodyLength,
            _ => false,
        };

    private static bool IsRefusal(ReadOnlySequence<byte> input, out HandshakeStep refusal)
    {
        refusal = default;
        if (FrameCodec.Read(ref input, isAuthenticated: false, out var type, out var body) != FrameStatus.Complete || type != FrameType.Refuse)
        {
            return false;
        }

        refusal = Handshake.ReadRefusal(body.ToArray());
        return true;
    }
}
