using System.Buffers;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// A connection's bytes as TLS reads them: first those that have been looked at already. If the first answer to a node
/// that dials is no TLS but a refusal in plain frames, reading throws <see cref="PlainAnswerException"/> with what it says.
/// </summary>
internal sealed class PeekedStream(Stream inner, ReadOnlyMemory<byte> looked, bool isDialling) : Stream
{
    private ReadOnlyMemory<byte> _looked = looked;
    private bool _isJudged = !isDialling;

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
        if (!_isJudged && !buffer.IsEmpty)
        {
            _isJudged = true;
            await JudgeAsync(cancellationToken);
        }

        if (_looked.IsEmpty)
        {
            return await inner.ReadAsync(buffer, cancellationToken);
        }

        var length = Math.Min(buffer.Length, _looked.Length);
        _looked[..length].CopyTo(buffer);
        _looked = _looked[length..];
        return length;
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => inner.WriteAsync(buffer, cancellationToken);

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

    private async Task JudgeAsync(CancellationToken token)
    {
        var octets = new byte[FrameLimits.HandshakeMax];
        var length = 0;
        do
        {
            var count = await inner.ReadAsync(octets.AsMemory(length), token);
            if (count == 0)
            {
                break;
            }

            length += count;
        }
        while (IsRefusalBegun(octets.AsSpan(0, length)));

        _looked = octets.AsMemory(0, length);
        var input = new ReadOnlySequence<byte>(_looked);
        if (FrameCodec.Read(ref input, isAuthenticated: false, out var type, out var body) == FrameStatus.Complete && type == FrameType.Refuse)
        {
            throw new PlainAnswerException(Handshake.ReadRefusal(body.ToArray()));
        }
    }

    // A TLS record of type 20 has a version (3.x) where our length has a zero.
    private static bool IsRefusalBegun(ReadOnlySpan<byte> octets) =>
        octets[0] == (byte)FrameType.Refuse
        && (octets.Length == 1 || octets[1] == 0)
        && FrameCodec.ReadHeader(new ReadOnlySequence<byte>(octets.ToArray()), isAuthenticated: false, out var header) switch
        {
            FrameStatus.NeedInput => true,
            FrameStatus.Complete => octets.Length < FrameLimits.HeaderSize + header.BodyLength,
            _ => false,
        };
}
