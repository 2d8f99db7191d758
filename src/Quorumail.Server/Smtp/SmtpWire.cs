using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Quorumail.Core.Smtp;

namespace Quorumail.Server.Smtp;

/// <summary>A connection's octets both ways: in plain first, and over TLS once that is established.</summary>
internal sealed class SmtpWire(ConnectionContext connection, ConnectionClock clock) : IAsyncDisposable
{
    // tcp(7): the level, TCP_INFO, and of what that gives the state, TCP_CLOSE, and how many segments are not acknowledged.
    private const int TcpLevel = 6;
    private const int TcpInfo = 11;
    private const byte TcpClose = 7;
    private const int UnacknowledgedAt = 24;

    private static readonly TimeSpan AcknowledgedWithin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AskAgainAfter = TimeSpan.FromMilliseconds(10);

    private volatile PipeReader _input = connection.Transport.Input;
    private PipeWriter _output = connection.Transport.Output;
    private SslStream? _tls;
    private bool _isFlushDue;

    /// <summary>Whether TLS is established.</summary>
    public bool HasTls => _tls is not null;

    /// <summary>Waits for octets; after <see cref="Interrupt"/> the result is cancelled.</summary>
    public ValueTask<ReadResult> ReadAsync() => _input.ReadAsync(CancellationToken.None);

    /// <summary>Gives octets back that were used; the rest was looked at.</summary>
    public void Advance(ReadOnlySequence<byte> rest) => _input.AdvanceTo(rest.Start, rest.End);

    /// <summary>Gives all octets back.</summary>
    public void Drop(ReadOnlySequence<byte> octets) => _input.AdvanceTo(octets.End);

    /// <summary>Ends a wait for octets; from any thread.</summary>
    public void Interrupt() => _input.CancelPendingRead();

    /// <summary>Writes octets, to be sent by <see cref="TryFlushAsync"/>.</summary>
    public void Write(ReadOnlySpan<byte> octets)
    {
        octets.CopyTo(_output.GetSpan(octets.Length));
        _output.Advance(octets.Length);
        _isFlushDue = true;
    }

    /// <summary>Sends what was written; false if the connection is gone.</summary>
    public ValueTask<bool> TryFlushAsync()
    {
        if (!_isFlushDue)
        {
            return ValueTask.FromResult(true);
        }

        _isFlushDue = false;
        var flushing = _output.FlushAsync(CancellationToken.None);
        if (!flushing.IsCompletedSuccessfully)
        {
            return AwaitFlushAsync(flushing);
        }

#pragma warning disable VSTHRD103 // It is complete: this is how a ValueTask is read without a state machine.
        return ValueTask.FromResult(!flushing.Result.IsCompleted);
#pragma warning restore VSTHRD103
    }

    /// <summary>
    /// Drops what still comes until the client hangs up or the time is over. A client may just have sent a command: what is
    /// not read when the connection closes resets it, and takes the last reply along. True if something came, or the
    /// client hung up: it had read what it was told, for one that has not resets the connection.
    /// </summary>
    public async Task<bool> LingerAsync(TimeSpan atMost, TimeProvider time)
    {
        using var limit = new CancellationTokenSource(atMost, time);
        await using var wakes = limit.Token.UnsafeRegister(static wire => ((SmtpWire)wire!).Interrupt(), this);
        var hasCome = false;
        while (!limit.IsCancellationRequested)
        {
            var result = await ReadAsync();
            hasCome |= result.IsCompleted || !result.Buffer.IsEmpty;
            Drop(result.Buffer);
            if (result.IsCompleted)
            {
                break;
            }
        }

        return hasCome;
    }

    /// <summary>
    /// Whether a client that has hung up had been told everything. Its system acknowledges what reaches an open connection, and answers with a reset what reaches
    /// one that its program has closed, or has closed without reading it. False, too, if a second says nothing, or the system can't be asked.
    /// </summary>
    public async Task<bool> HasToldAsync()
    {
        var socket = connection.Features.Get<IConnectionSocketFeature>()?.Socket;
        for (var asked = Stopwatch.GetTimestamp(); socket is not null && Stopwatch.GetElapsedTime(asked) < AcknowledgedWithin; await Task.Delay(AskAgainAfter, CancellationToken.None))
        {
            if (IsAcknowledged(socket) is { } isAcknowledged)
            {
                return isAcknowledged;
            }
        }

        return false;
    }

    /// <summary>Does the server's side of the handshake. Nobody else may read meanwhile.</summary>
    public async Task EstablishTlsAsync(SslServerAuthenticationOptions options)
    {
        clock.Start(ConnectionWait.Handshake);
        var stream = new TransportStream(connection.Transport.Input, connection.Transport.Output);
        _tls = new SslStream(stream, leaveInnerStreamOpen: true);
        await _tls.AuthenticateAsServerAsync(options, connection.ConnectionClosed);
        clock.Stop();

        // Reading nothing first means that an idle connection holds no buffer.
        _input = PipeReader.Create(_tls, new StreamPipeReaderOptions(leaveOpen: true, useZeroByteReads: true));
        _output = PipeWriter.Create(_tls, new StreamPipeWriterOptions(leaveOpen: true));
    }

    /// <summary>Reads the PROXY header that must come first; <see cref="ProxyHeaderStatus.NeedInput"/> if the other side hung up without a word.</summary>
    public async ValueTask<(ProxyHeaderStatus Status, IPEndPoint? Client)> ReadProxyHeaderAsync()
    {
        while (true)
        {
            var result = await ReadAsync();
            var input = result.Buffer;
            var status = ProxyHeader.Read(ref input, out var client);
            _input.AdvanceTo(input.Start, status == ProxyHeaderStatus.Complete ? input.Start : input.End);
            if (status != ProxyHeaderStatus.NeedInput)
            {
                return (status, client);
            }

            if (result.IsCompleted)
            {
                return (input.IsEmpty ? ProxyHeaderStatus.NeedInput : ProxyHeaderStatus.Invalid, null);
            }
        }
    }

    /// <summary>
    /// Tells the other side that nothing more comes (close_notify, RFC 8446 6.1), so that it can tell the end from a cut; within a
    /// bounded time. The connection can only be closed afterwards.
    /// </summary>
    public async Task EndAsync(TimeSpan atMost, TimeProvider time)
    {
        if (_tls is null)
        {
            return;
        }

        try
        {
            await _tls.ShutdownAsync().WaitAsync(atMost, time, CancellationToken.None);
        }
        catch (Exception failure) when (failure is TimeoutException or IOException or InvalidOperationException)
        {
            // It doesn't read, or has gone.
            connection.Abort();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_tls is not null)
        {
            await _tls.DisposeAsync();
        }
    }

    private async ValueTask<bool> AwaitFlushAsync(ValueTask<FlushResult> flushing)
    {
        clock.Start(ConnectionWait.Write);
        var result = await flushing;
        clock.Stop();
        return !result.IsCompleted;
    }

    // Nothing: it is neither acknowledged nor reset yet.
    private static bool? IsAcknowledged(Socket socket)
    {
        Span<byte> info = stackalloc byte[UnacknowledgedAt + sizeof(uint)];
        try
        {
            return socket.GetRawSocketOption(TcpLevel, TcpInfo, info) < info.Length || info[0] == TcpClose ? false
                : BinaryPrimitives.ReadUInt32LittleEndian(info[UnacknowledgedAt..]) == 0 ? true
                : null;
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException or PlatformNotSupportedException)
        {
            return false;
        }
    }
}
