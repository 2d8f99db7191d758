using System.Buffers;
using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Connections;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>Why a peer that is who it says is not welcome.</summary>
/// <param name="Reason">For the counter and for the peer.</param>
/// <param name="Text">For both logs.</param>
internal sealed record Unwelcome(RefusalReason Reason, string Text);

/// <summary>A connection that both sides have opened.</summary>
/// <param name="Peer">Who is at the other end.</param>
/// <param name="Pipe">The frames' bytes: those of the socket, or of TLS over it.</param>
/// <param name="Context">The socket.</param>
internal sealed record OpenConnection(PeerIntroduction Peer, IDuplexPipe Pipe, ConnectionContext Context);

/// <summary>
/// Opens connections: TLS if there is a certificate, then <see cref="Handshake"/>, within a time and within
/// <see cref="FrameLimits.HandshakeMax"/> bytes. A peer that speaks TLS where we don't, or the other way round, is told so.
/// </summary>
internal sealed class PortHandshake(PortOptions options, TimeProvider time)
{
    // First byte of a TLS record that begins a handshake (RFC 8446 section 5.1); no frame has this type.
    private const byte TlsHandshake = 0x16;

    private static readonly TimeSpan LingerMax = TimeSpan.FromSeconds(1);

    /// <summary>Opens a connection that was accepted.</summary>
    /// <param name="connection">It; the caller disposes it.</param>
    /// <param name="self">Who this node is.</param>
    /// <param name="judge">Asked about a peer that is who it says.</param>
    /// <param name="token">Ends the attempt.</param>
    /// <exception cref="HandshakeException">Refused, by either side.</exception>
    /// <exception cref="IOException">The connection broke, or ended before the peer had said who it is.</exception>
    public Task<OpenConnection> AcceptAsync(
        ConnectionContext connection,
        PeerIntroduction self,
        Func<PeerIntroduction, CancellationToken, ValueTask<Unwelcome?>> judge,
        CancellationToken token) =>
        WithinTimeAsync(async within =>
        {
            var pipe = connection.Transport;
            ReadOnlyMemory<byte> channel = default;
            var first = await PeekAsync(pipe.Input, within);
            if (options.Certificate is { } certificate)
            {
                if (first == (byte)FrameType.Hello)
                {
                    await RefuseAsync(pipe, RefusalReason.TlsRequired, $"{self.NodeId} speaks TLS on its cluster port (tls_enabled), the other does not", within);
                }

                (pipe, channel) = await ListenWithTlsAsync(pipe, certificate, within);
            }
            else if (first == TlsHandshake)
            {
                await RefuseAsync(pipe, RefusalReason.TlsUnexpected, $"{self.NodeId} does not speak TLS on its cluster port (tls_enabled), the other does", within);
            }

            var handshake = Handshake.Listen(self, options.Tokens, RandomNumberGenerator.GetBytes(PeerIntroduction.NonceSize), channel.Span);
            return new OpenConnection(await RunAsync(handshake, pipe, judge, within), pipe, connection);
        }, token);

    /// <summary>Opens a connection that was dialled. Parameters and exceptions are those of <see cref="AcceptAsync"/>.</summary>
    public Task<OpenConnection> DialAsync(
        ConnectionContext connection,
        PeerIntroduction self,
        Func<PeerIntroduction, CancellationToken, ValueTask<Unwelcome?>> judge,
        CancellationToken token) =>
        WithinTimeAsync(async within =>
        {
            var pipe = connection.Transport;
            ReadOnlyMemory<byte> channel = default;
            if (options.Certificate is { } certificate)
            {
                (pipe, channel) = await DialWithTlsAsync(pipe, certificate, within);
            }

            var handshake = Handshake.Dial(self, options.Tokens, RandomNumberGenerator.GetBytes(PeerIntroduction.NonceSize), channel.Span);
            try
            {
                await pipe.Output.WriteAsync(handshake.HelloFrame(), within);
                return new OpenConnection(await RunAsync(handshake, pipe, judge, within), pipe, connection);
            }
            catch (IOException failure) when (options.Certificate is not null && handshake.Peer is null && failure is not HandshakeException)
            {
                // With TLS 1.3 the dialling side learns only now that its certificate was not taken.
                throw new HandshakeException(RefusalReason.Certificate, "it ended the connection after the TLS handshake; its log may say that it does not trust this node's certificate", isByPeer: true, null);
            }
        }, token);

    private async Task<OpenConnection> WithinTimeAsync(Func<CancellationToken, Task<OpenConnection>> open, CancellationToken token)
    {
        using var limit = new CancellationTokenSource(options.HandshakeTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            return await open(both.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !token.IsCancellationRequested)
        {
            throw new HandshakeException(RefusalReason.TimedOut, $"its handshake took more than {options.HandshakeTimeout.TotalSeconds:0.#} s", isByPeer: false, null);
        }
        catch (ConnectionResetException failure)
        {
            throw new IOException("the connection was reset", failure);
        }
    }

    private static async Task<byte> PeekAsync(PipeReader input, CancellationToken token)
    {
        var result = await input.ReadAsync(token);
        if (result.Buffer.IsEmpty)
        {
            throw new EndOfStreamException("closed without a byte");
        }

        var first = result.Buffer.FirstSpan[0];
        input.AdvanceTo(result.Buffer.Start);
        return first;
    }

    private static async Task<(IDuplexPipe Pipe, ReadOnlyMemory<byte> Channel)> ListenWithTlsAsync(IDuplexPipe pipe, PortCertificate certificate, CancellationToken token)
    {
        var stream = new SslStream(new PeekedStream(pipe));
        try
        {
            await stream.AuthenticateAsServerAsync(certificate.Listening(), token);
        }
        catch (AuthenticationException failure)
        {
            throw new HandshakeException(RefusalReason.Certificate, $"the TLS handshake failed: {Reason(failure)}", isByPeer: false, null);
        }

        return (new TlsPipe(stream), PortCertificate.ChannelOf(stream.LocalCertificate!));
    }

    private static async Task<(IDuplexPipe Pipe, ReadOnlyMemory<byte> Channel)> DialWithTlsAsync(IDuplexPipe pipe, PortCertificate certificate, CancellationToken token)
    {
        var stream = new SslStream(new PeekedStream(pipe));
        try
        {
            await stream.AuthenticateAsClientAsync(certificate.Dialling(), token);
        }
        catch (PlainAnswerException answer)
        {
            throw new HandshakeException(answer.Refusal.Reason, answer.Refusal.Text, isByPeer: true, null);
        }
        catch (AuthenticationException failure)
        {
            throw new HandshakeException(RefusalReason.Certificate, $"the TLS handshake failed: {Reason(failure)}", isByPeer: false, null);
        }

        return (new TlsPipe(stream), PortCertificate.ChannelOf(stream.RemoteCertificate!));
    }

    private static string Reason(AuthenticationException failure) => (failure.InnerException ?? failure).Message.TrimEnd('.');

    private async Task<PeerIntroduction> RunAsync(
        Handshake handshake,
        IDuplexPipe pipe,
        Func<PeerIntroduction, CancellationToken, ValueTask<Unwelcome?>> judge,
        CancellationToken token)
    {
        while (true)
        {
            var step = await ReceiveAsync(handshake, pipe.Input, token);
            if (step.Kind == HandshakeStepKind.Judge)
            {
                step = await judge(handshake.Peer!, token) is { } unwelcome ? handshake.Refuse(unwelcome.Reason, unwelcome.Text) : handshake.Admit();
            }

            if (!step.Frame.IsEmpty)
            {
                await pipe.Output.WriteAsync(step.Frame, token);
            }

            switch (step.Kind)
            {
                case HandshakeStepKind.Open:
                    return handshake.Peer!;
                case HandshakeStepKind.Refuse:
                    await LingerAsync(pipe, token);
                    throw new HandshakeException(step.Reason, step.Text, isByPeer: false, handshake.Peer);
                case HandshakeStepKind.Refused:
                    throw new HandshakeException(step.Reason, step.Text, isByPeer: true, handshake.Peer);
            }
        }
    }

    private static async Task<HandshakeStep> ReceiveAsync(Handshake handshake, PipeReader input, CancellationToken token)
    {
        while (true)
        {
            var result = await input.ReadAsync(token);
            var buffer = result.Buffer;
            var status = FrameCodec.Read(ref buffer, isAuthenticated: false, out var type, out var body);
            if (status == FrameStatus.Complete)
            {
                var step = Take(handshake, type, body);
                input.AdvanceTo(buffer.Start);
                return step;
            }

            input.AdvanceTo(buffer.Start, buffer.End);
            if (status != FrameStatus.NeedInput)
            {
                return handshake.Refuse(RefusalReason.Malformed, $"what it sends is no handshake ({status})");
            }

            if (result.IsCompleted)
            {
                throw new EndOfStreamException("closed during the handshake");
            }
        }
    }

    private static HandshakeStep Take(Handshake handshake, FrameType type, in ReadOnlySequence<byte> body)
    {
        // The codec let no more than this through.
        Span<byte> octets = stackalloc byte[FrameLimits.HandshakeMax];
        body.CopyTo(octets);
        return handshake.Next(type, octets[..(int)body.Length]);
    }

    private async Task RefuseAsync(IDuplexPipe pipe, RefusalReason reason, string text, CancellationToken token)
    {
        await pipe.Output.WriteAsync(Handshake.RefuseFrame(reason, text), token);
        await LingerAsync(pipe, token);
        throw new HandshakeException(reason, text, isByPeer: false, null);
    }

    /// <summary>Waits a little for the peer to close: closing on what it still sends would reset the connection before it has read why.</summary>
    private async Task LingerAsync(IDuplexPipe pipe, CancellationToken token)
    {
        using var limit = new CancellationTokenSource(LingerMax, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            for (var left = 16L * FrameLimits.HandshakeMax; left > 0;)
            {
                var result = await pipe.Input.ReadAsync(both.Token);
                left -= result.Buffer.Length;
                pipe.Input.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                {
                    return;
                }
            }
        }
        catch (Exception failure) when (failure is IOException or OperationCanceledException)
        {
            // It has been said; more can't be done.
        }
    }

    private sealed class TlsPipe(SslStream stream) : IDuplexPipe
    {
        public PipeReader Input { get; } = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 16 * 1024, leaveOpen: false));

        public PipeWriter Output { get; } = PipeWriter.Create(stream, new StreamPipeWriterOptions(leaveOpen: true));
    }
}
