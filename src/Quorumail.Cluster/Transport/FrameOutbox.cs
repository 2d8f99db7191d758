using System.Buffers.Binary;
using Quorumail.Core;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// What waits to be sent on one connection. Whoever appends first writes; what is appended meanwhile gathers and goes
/// out in one write. Bounded: when it is full, frames are not taken.
/// </summary>
internal sealed class FrameOutbox
{
    private const int FirstSize = 4096;

    private readonly Stream _output;
    private readonly int _capacity;
    private readonly PortCounters _counters;
    private readonly Action<Exception> _broken;
    private readonly Lock _lock = new();
    private byte[]? _gathered;
    private int _length;
    private int _corks;
    private bool _isWriting;
    private bool _isClosed;
    private TaskCompletionSource? _room;

    /// <param name="output">The connection.</param>
    /// <param name="capacity">Bytes that may wait.</param>
    /// <param name="counters">Told what is appended.</param>
    /// <param name="broken">Called when nothing can be written any more.</param>
    public FrameOutbox(Stream output, int capacity, PortCounters counters, Action<Exception> broken)
    {
        // One frame of the largest kind must fit, or it would wait for ever.
        Invariant.Check(capacity >= FrameLimits.HeaderSize + FrameLimits.BodyMax, "a connection's buffer holds the largest frame");
        _output = output;
        _capacity = capacity;
        _counters = counters;
        _broken = broken;
    }

    /// <summary>Takes a frame. False if there is no room or the connection has ended.</summary>
    /// <param name="type">The frame's type.</param>
    /// <param name="number">What its body begins with; null for nothing.</param>
    /// <param name="body">The rest of its body; copied.</param>
    public bool TryAppend(FrameType type, long? number, ReadOnlySpan<byte> body)
    {
        var bodyLength = body.Length + (number is null ? 0 : FrameLimits.NumberSize);
        var length = FrameLimits.HeaderSize + bodyLength;
        lock (_lock)
        {
            if (_isClosed || _length + length > _capacity)
            {
                return false;
            }

            var target = Reserve(length);
            FrameCodec.WriteHeader(target, type, bodyLength);
            target = target[FrameLimits.HeaderSize..];
            if (number is { } value)
            {
                BinaryPrimitives.WriteInt64BigEndian(target, value);
                target = target[FrameLimits.NumberSize..];
            }

            body.CopyTo(target);
        }

        _counters.Sent(type, length);
        Write();
        return true;
    }

    /// <summary>Takes a frame, and waits for room if need be.</summary>
    /// <exception cref="PeerUnavailableException">The connection has ended.</exception>
    public async ValueTask AppendAsync(FrameType type, long? number, ReadOnlyMemory<byte> body, CancellationToken token)
    {
        while (!TryAppend(type, number, body.Span))
        {
            Task room;
            lock (_lock)
            {
                if (_isClosed)
                {
                    throw new PeerUnavailableException("the connection has ended");
                }

                if (_length + FrameLimits.HeaderSize + FrameLimits.NumberSize + body.Length <= _capacity)
                {
                    continue;
                }

                _room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                room = _room.Task;
            }

            await room.WaitAsync(token);
        }
    }

    /// <summary>Gathers without writing until <see cref="Uncork"/>: while the frames of one read are being handled.</summary>
    public void Cork()
    {
        lock (_lock)
        {
            _corks++;
        }
    }

    /// <summary>Writes what has gathered since <see cref="Cork"/>.</summary>
    public void Uncork()
    {
        lock (_lock)
        {
            _corks--;
        }

        Write();
    }

    /// <summary>Takes nothing more and lets go of what waits.</summary>
    public void Close()
    {
        TaskCompletionSource? room;
        lock (_lock)
        {
            _isClosed = true;
            room = _room;
            _room = null;
            if (_gathered is not null)
            {
                FrameBuffers.Return(_gathered);
                _gathered = null;
                _length = 0;
            }
        }

        room?.TrySetResult();
    }

    private Span<byte> Reserve(int length)
    {
        if (_gathered is null)
        {
            _gathered = FrameBuffers.Rent(Math.Max(FirstSize, length));
        }
        else if (_gathered.Length < _length + length)
        {
            var larger = FrameBuffers.Rent(Math.Max(2 * _gathered.Length, _length + length));
            _gathered.AsSpan(0, _length).CopyTo(larger);
            FrameBuffers.Return(_gathered);
            _gathered = larger;
        }

        var target = _gathered.AsSpan(_length, length);
        _length += length;
        return target;
    }

    private void Write()
    {
        lock (_lock)
        {
            if (_isWriting || _corks > 0 || _length == 0)
            {
                return;
            }

            _isWriting = true;
        }

        // Ends by itself, and tells by _broken what it can't do.
        _ = WriteAllAsync();
    }

    private async Task WriteAllAsync()
    {
        try
        {
            while (Gathered(out var octets, out var length))
            {
                try
                {
                    await _output.WriteAsync(octets.AsMemory(0, length), CancellationToken.None);
                }
                finally
                {
                    FrameBuffers.Return(octets);
                }
            }
        }
        catch (Exception failure)
        {
            _broken(failure);
        }
    }

    private bool Gathered(out byte[] octets, out int length)
    {
        TaskCompletionSource? room;
        lock (_lock)
        {
            octets = _gathered ?? [];
            length = _length;
            if (length == 0 || _corks > 0)
            {
                _isWriting = false;
                return false;
            }

            _gathered = null;
            _length = 0;
            room = _room;
            _room = null;
        }

        room?.TrySetResult();
        return true;
    }
}
