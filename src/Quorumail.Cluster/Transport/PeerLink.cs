using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Quorumail.Core;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// An open connection to a peer: frames go out, frames come in, questions meet their answers. Sending is for any
/// thread. It ends when the peer closes it, when nothing has come for too long, when something comes that has no place,
/// or when this side closes it.
/// </summary>
#pragma warning disable CA1001 // The source that tells of the end has no timer: it holds nothing to give back, and may be cancelled until the last.
internal sealed class PeerLink
#pragma warning restore CA1001
{
    // What is still to come of a frame and is longer than this is read into the frame's own buffer.
    private const int DirectMin = 16 * 1024;

    private readonly PeerIntroduction _peer;
    private readonly FrameConnection _connection;
    private readonly PortOptions _options;
    private readonly PortCounters _counters;
    private readonly ITransportHandler _handler;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly FrameOutbox _outbox;
    private readonly ConcurrentDictionary<long, TaskCompletionSource<ReadOnlyMemory<byte>>> _asked = new();
    private readonly CancellationTokenSource _ended = new();
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new();
    private TaskCompletionSource? _room;
    private long _lastNumber;
    private long _heard;
    private long _roundTripTicks = -1;
    private int _questions;
    private int _questionBytes;
    private int _isClosed;

    // The frame that is coming in.
    private FrameHeader _header;
    private byte[]? _body;
    private int _filled;

    public PeerLink(OpenConnection connection, bool isDialled, PortOptions options, PortCounters counters, ITransportHandler handler, TimeProvider time, ILogger log)
    {
        _peer = connection.Peer;
        _connection = connection.Connection;
        _options = options;
        _counters = counters;
        _handler = handler;
        _time = time;
        _log = log;
        IsDialled = isDialled;
        Hello = HelloOf(_peer);
        _outbox = new FrameOutbox(_connection.Stream, options.SendBuffer, counters, failure => Close(ReasonOf(failure)));
        Opened = time.GetTimestamp();
        _heard = Opened;
    }

    /// <summary>Who is at the other end.</summary>
    public NodeHello Hello { get; }

    /// <summary>The other process's own number.</summary>
    public ulong Process => _peer.Process;

    /// <summary>Grows when the other process says something new of itself.</summary>
    public int Generation => _peer.Generation;

    public ConnectionPurpose Purpose => _peer.Purpose;

    /// <summary>Whether this node dialled.</summary>
    public bool IsDialled { get; }

    /// <summary>Address and port at the other end, as the socket sees it.</summary>
    public string Remote => _connection.Remote;

    /// <summary>Why it ended.</summary>
    public string EndReason { get; private set; } = "";

    /// <summary>When it was opened.</summary>
    public long Opened { get; }

    /// <summary>Ends when the connection has ended and everybody has been told.</summary>
    public Task Ended => _told.Task;

    /// <summary>Time from question to answer, measured last; null before.</summary>
    public TimeSpan? RoundTrip => Volatile.Read(ref _roundTripTicks) is >= 0 and var ticks ? TimeSpan.FromTicks(ticks) : null;

    /// <summary>When something came last, as a timestamp of the clock.</summary>
    public long Heard => Volatile.Read(ref _heard);

    /// <summary>What is said in a handshake, as the rest of the program knows it.</summary>
    public static NodeHello HelloOf(PeerIntroduction peer) => new(peer.NodeId, peer.Incarnation, peer.ClusterId, peer.FeatureLevel, peer.Address);

    /// <summary>Sends a frame that wants no answer. False if there is no room or the connection has ended.</summary>
    public bool TrySend(FrameType type, ReadOnlySpan<byte> body) => _outbox.TryAppend(type, null, body);

    /// <summary>Asks and waits for the answer.</summary>
    /// <exception cref="PeerUnavailableException">The connection ended first, or the peer can't answer.</exception>
    public async Task<ReadOnlyMemory<byte>> AskAsync(FrameType type, ReadOnlyMemory<byte> body, CancellationToken token)
    {
        var number = Interlocked.Increment(ref _lastNumber);

        // What follows the answer to an append is short, and what commits mail: it goes on on the thread that reads.
        var answer = new TaskCompletionSource<ReadOnlyMemory<byte>>(
            type == FrameType.Append ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);
        _asked[number] = answer;
        try
        {
            if (_isClosed != 0)
            {
                throw new PeerUnavailableException($"the connection to {Hello.NodeId} has ended: {EndReason}");
            }

            await _outbox.AppendAsync(type, number, body, token);
            return await answer.Task.WaitAsync(token);
        }
        finally
        {
            _asked.TryRemove(number, out _);
        }
    }

    /// <summary>Asks whether the peer is there; the answer sets <see cref="RoundTrip"/>.</summary>
    public void Ping()
    {
        // Questions have positive numbers; a negative one is the time at which it was asked.
        _outbox.TryAppend(FrameType.Ping, -_time.GetTimestamp(), default);
    }

    /// <summary>Whether the peer says anything within the time.</summary>
    public async Task<bool> IsAliveAsync(TimeSpan within, CancellationToken token)
    {
        using var limit = new CancellationTokenSource(within, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            await AskAsync(FrameType.Ping, default, both.Token);
            return true;
        }
        catch (Exception failure) when (failure is PeerUnavailableException || (failure is OperationCanceledException && !token.IsCancellationRequested))
        {
            return false;
        }
    }

    /// <summary>It was quiet here, not there: this process was stopped for a while.</summary>
    public void Excuse() => Volatile.Write(ref _heard, _time.GetTimestamp());

    /// <summary>Ends the connection. The first reason counts.</summary>
    public void Close(string reason)
    {
        if (Interlocked.Exchange(ref _isClosed, 1) != 0)
        {
            return;
        }

        EndReason = reason;
        _outbox.Close();
        _connection.Dispose();
        _ended.Cancel();
        foreach (var answer in _asked.Values)
        {
            answer.TrySetException(new PeerUnavailableException($"the connection to {Hello.NodeId} has ended: {reason}"));
        }

        lock (_lock)
        {
            _room?.TrySetResult();
        }
    }

    /// <summary>Everybody has been told that it ended.</summary>
    public void Tell() => _told.TrySetResult();

    /// <summary>Handles what comes until the connection ends. Returns when it has.</summary>
    public async Task RunAsync()
    {
        try
        {
            await ReadAsync();
            Close("the peer closed it");
        }
        catch (FrameException fault)
        {
            _counters.Refuse(RefusalReason.Malformed);
            Close(fault.Message);
        }
        catch (Exception failure)
        {
            Close(ReasonOf(failure));
        }
        finally
        {
            if (_body is not null)
            {
                FrameBuffers.Return(_body);
                _body = null;
            }
        }
    }

    // What the socket says, without what the stream above it adds.
    private static string ReasonOf(Exception failure) => (failure.InnerException as SocketException ?? failure).Message.TrimEnd('.');

    private async Task ReadAsync()
    {
        while (true)
        {
            _outbox.Cork();
            try
            {
                while (Take())
                {
                }
            }
            finally
            {
                _outbox.Uncork();
            }

            await RoomForQuestionsAsync();
            if (_body is not null && _header.BodyLength - _filled >= DirectMin)
            {
                var count = await _connection.Stream.ReadAsync(_body.AsMemory(_filled, _header.BodyLength - _filled), CancellationToken.None);
                _filled += count;
                if (count == 0)
                {
                    return;
                }
            }
            else if (!await _connection.FillAsync(CancellationToken.None))
            {
                return;
            }

            Volatile.Write(ref _heard, _time.GetTimestamp());
        }
    }

    /// <summary>Takes from what has been read what belongs to the frame that is coming in. False when that was all of it.</summary>
    private bool Take()
    {
        if (_body is null && !TakeHeader())
        {
            return false;
        }

        var pending = _connection.Pending;
        var length = Math.Min(_header.BodyLength - _filled, pending.Length);
        pending[..length].CopyTo(_body.AsMemory(_filled));
        _connection.Use(length);
        _filled += length;
        if (_filled < _header.BodyLength)
        {
            return false;
        }

        var body = _body!;
        _body = null;
        _counters.Received(_header.Type, FrameLimits.HeaderSize + _header.BodyLength);
        Handle(_header.Type, body, _header.BodyLength);
        return true;
    }

    private bool TakeHeader()
    {
        var status = FrameCodec.ReadHeader(new ReadOnlySequence<byte>(_connection.Pending), isAuthenticated: true, out _header);
        if (status == FrameStatus.NeedInput)
        {
            return false;
        }

        if (status != FrameStatus.Complete)
        {
            throw new FrameException($"it sent what is no frame of ours ({status}, type {_connection.Pending.Span[0]})");
        }

        if (_header.Type >= FrameType.Failed && _header.BodyLength < FrameLimits.NumberSize)
        {
            throw new FrameException($"it sent a frame of type {(byte)_header.Type} without its number");
        }

        _connection.Use(FrameLimits.HeaderSize);
        _body = FrameBuffers.Rent(Math.Max(1, _header.BodyLength));
        _filled = 0;
        return true;
    }

    private void Handle(FrameType type, byte[] body, int length)
    {
        if (FrameCodec.IsQuestion(type) && type != FrameType.Ping)
        {
            // Ends by itself; what fails is logged.
            _ = AnswerAsync(type, body, length);
            return;
        }

        try
        {
            if (type < FrameType.Hello)
            {
                _handler.Received(Hello, type, body.AsMemory(0, length));
                return;
            }

            var number = BinaryPrimitives.ReadInt64BigEndian(body);
            if (type == FrameType.Ping)
            {
                _outbox.TryAppend(FrameType.Pong, number, default);
            }
            else if (type == FrameType.Pong && number <= 0)
            {
                Volatile.Write(ref _roundTripTicks, Math.Max(0, _time.GetElapsedTime(-number).Ticks));
            }
            else if (_asked.TryRemove(number, out var answer))
            {
                // An answer that nobody waits for any more is dropped.
                _ = type == FrameType.Failed
                    ? answer.TrySetException(new PeerUnavailableException($"{Hello.NodeId} can't answer"))
                    : answer.TrySetResult(body.AsSpan(FrameLimits.NumberSize, length - FrameLimits.NumberSize).ToArray());
            }
        }
        catch (Exception failure)
        {
            PortLog.HandlerFailed(_log, failure, type.ToString(), Hello.NodeId);
        }
        finally
        {
            FrameBuffers.Return(body);
        }
    }

    private async Task AnswerAsync(FrameType type, byte[] body, int length)
    {
        lock (_lock)
        {
            _questions++;
            _questionBytes += length;
        }

        var number = BinaryPrimitives.ReadInt64BigEndian(body);
        try
        {
            try
            {
                var answer = await _handler.AnswerAsync(Hello, type, body.AsMemory(FrameLimits.NumberSize, length - FrameLimits.NumberSize), _ended.Token);
                Invariant.Check(answer.Length <= FrameLimits.PayloadMax, "an answer fits into a frame");
                await _outbox.AppendAsync(type + 1, number, answer, _ended.Token);
            }
            catch (Exception failure) when (_isClosed == 0)
            {
                if (failure is not OperationCanceledException)
                {
                    PortLog.HandlerFailed(_log, failure, type.ToString(), Hello.NodeId);
                }

                await _outbox.AppendAsync(FrameType.Failed, number, default, _ended.Token);
            }
        }
        catch (Exception) when (_isClosed != 0)
        {
            // There is nobody to answer any more.
        }
        finally
        {
            Answered(body, length);
        }
    }

    private void Answered(byte[] body, int length)
    {
        FrameBuffers.Return(body);
        TaskCompletionSource? room = null;
        lock (_lock)
        {
            _questions--;
            _questionBytes -= length;
            if (HasRoom)
            {
                (room, _room) = (_room, null);
            }
        }

        room?.TrySetResult();
    }

    private bool HasRoom => _questions < _options.QuestionsMax && _questionBytes < _options.QuestionBytesMax;

    private async ValueTask RoomForQuestionsAsync()
    {
        Task room;
        lock (_lock)
        {
            if (HasRoom || _isClosed != 0)
            {
                return;
            }

            _room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            room = _room.Task;
        }

        await room;
    }

    private sealed class FrameException : IOException
    {
        public FrameException()
        {
        }

        public FrameException(string message)
            : base(message)
        {
        }

        public FrameException(string message, Exception innerException)
            : base(message, innerException)
        {
        }
    }
}
