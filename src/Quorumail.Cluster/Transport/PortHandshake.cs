using System.Buffers;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>Why a peer that is who it says is not welcome.</summary>
/// <param name="Reason">For the counter and for the peer.</param>
/// <param name="Text">For both logs.</param>
internal sealed record Unwelcome(RefusalReason Reason, string Text);

/// <summary>A connection that both sides have opened.</summary>
/// <param name="Peer">Who is at the other end.</param>
/// <param name="Connection">The bytes.</param>
internal sealed record OpenConnection(PeerIntroduction Peer, FrameConnection Connection);

/// <summary>
/// Opens connections: TLS if there is a certificate, then <see cref="Handshake"/>, within a time and within
/// <see cref="FrameLimits.HandshakeMax"/> bytes. A peer that speaks TLS where we don't, or the other way round, is told so.
/// </summary>
internal sealed class PortHandshake(PortOptions options, TimeProvider time)
{
    // First byte of a TLS record that begins a handshake (RFC 8446 section 5.1); no frame has this type.
    private const byte TlsHandshake = 0x16;

    private const int LingerReadsMax = 16;

    private static readonly TimeSpan LingerMax = TimeSpan.FromSeconds(1);

    /// <summary>Opens a connection that was accepted.</summary>
    /// <param name="connection">It; the caller disposes it.</param>
    /// <param name="self">Who this node is.</param>
    /// <param name="judge">Asked about a peer that is who it says.</param>
    /// <param name="token">Ends the attempt.</param>
    /// <exception cref="HandshakeException">Refused, by either side.</exception>
    /// <exception cref="IOException">The connection broke, or ended before the peer had said who it is.</exception>
    public Task<OpenConnection> AcceptAsync(
        FrameConnection connection,
        PeerIntroduction self,
        Func<PeerIntroduction, CancellationToken, ValueTask<Unwelcome?>> judge,
        CancellationToken token) =>
        WithinTimeAsync(async within =>
        {
            if (!await connection.FillAsync(within))
            {
                throw new EndOfStreamException("closed without a byte");
            }

            ReadOnlyMemory<byte> channel = default;
            var first = connection.Pending.Span[0];
            if (options.Certificate is { } certificate)
            {
                if (first == (byte)FrameType.Hello)
                {
                    await RefuseAsync(connection, RefusalReason.TlsRequired, $"{self.NodeId} speaks TLS on its cluster port (tls_enabled), the other does not", within);
                }

                channel = await ListenWithTlsAsync(connection, certificate, within);
            }
            else if (first == TlsHandshake)
            {
                await RefuseAsync(connection, RefusalReason.TlsUnexpected, $"{self.NodeId} does not speak TLS on its cluster port (tls_enabled), the other does", within);
            }

            var handshake = Handshake.Listen(self, options.Tokens, RandomNumberGenerator.GetBytes(PeerIntroduction.NonceSize), channel.Span);
            return await RunAsync(handshake, connection, judge, within);
        }, token);

    /// <summary>Opens a connection that was dialled. Parameters and exceptions are those of <see cref="AcceptAsync"/>.</summary>
    public Task<OpenConnection> DialAsync(
        FrameConnection connection,
        PeerIntroduction self,
        Func<PeerIntroduction, CancellationToken, ValueTask<Unwelcome?>> judge,
        CancellationToken token) =>
        WithinTimeAsync(async within =>
        {
            ReadOnlyMemory<byte> channel = default;
            if (options.Certificate is { } certificate)
            {
                channel = await DialWithTlsAsync(connection, certificate, within);
            }

            var handshake = Handshake.Dial(self, options.Tokens, RandomNumberGenerator.GetBytes(PeerIntroduction.NonceSize), channel.Span);
            try
            {
                await connection.Stream.WriteAsync(handshake.HelloFrame(), within);
                return await RunAsync(handshake, connection, judge, within);
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
    }

    private static async Task<byte[]> ListenWithTlsAsync(FrameConnection connection, PortCertificate certificate, CancellationToken token)
    {
        var stream = new SslStream(new PeekedStream(connection.Stream, connection.Pending.ToArray(), isDialling: false));
        try
        {
            await stream.AuthenticateAsServerAsync(certificate.Listening(), token);
        }
        catch (AuthenticationException failure)
        {
            throw new HandshakeException(RefusalReason.Certificate, $"the TLS handshake failed: {Reason(failure)}", isByPeer: false, null);
        }

        connection.Secure(stream);
        return PortCertificate.ChannelOf(stream.LocalCertificate!);
    }

    private static async Task<byte[]> DialWithTlsAsync(FrameConnection connection, PortCertificate certificate, CancellationToken token)
    {
        var stream = new SslStream(new PeekedStream(connection.Stream, default, isDialling: true));
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

        connection.Secure(stream);
        return PortCertificate.ChannelOf(stream.RemoteCertificate!);
    }

    private static string Reason(AuthenticationException failure) => (failure.InnerException ?? failure).Message.TrimEnd('.');

    private async Task<OpenConnection> RunAsync(
        Handshake handshake,
        FrameConnection connection,
        Func<PeerIntroduction, CancellationToken, ValueTask<Unwelcome?>> judge,
        CancellationToken token)
    {
        while (true)
        {
            var step = await ReceiveAsync(handshake, connection, token);
            if (step.Kind == HandshakeStepKind.Judge)
            {
                step = await judge(handshake.Peer!, token) is { } unwelcome ? handshake.Refuse(unwelcome.Reason, unwelcome.Text) : handshake.Admit();
            }

            if (!step.Frame.IsEmpty)
            {
                await connection.Stream.WriteAsync(step.Frame, token);
            }

            switch (step.Kind)
            {
                case HandshakeStepKind.Open:
                    connection.Open();
                    return new OpenConnection(handshake.Peer!, connection);
                case HandshakeStepKind.Refuse:
                    await LingerAsync(connection, token);
                    throw new HandshakeException(step.Reason, step.Text, isByPeer: false, handshake.Peer);
                case HandshakeStepKind.Refused:
                    throw new HandshakeException(step.Reason, step.Text, isByPeer: true, handshake.Peer);
            }
        }
    }

    private static async Task<HandshakeStep> ReceiveAsync(Handshake handshake, FrameConnection connection, CancellationToken token)
    {
        while (true)
        {
            var pending = new ReadOnlySequence<byte>(connection.Pending);
            var status = FrameCodec.Read(ref pending, isAuthenticated: false, out var type, out var body);
            if (status == FrameStatus.Complete)
            {
                var step = handshake.Next(type, body.FirstSpan);
                connection.Use(FrameLimits.HeaderSize + (int)body.Length);
                return step;
            }

            if (status != FrameStatus.NeedInput)
            {
                return handshake.Refuse(RefusalReason.Malformed, $"what it sends is no handshake ({status})");
            }

            if (!await connection.FillAsync(token))
            {
                throw new EndOfStreamException("closed during the handshake");
            }
        }
    }

    private async Task RefuseAsync(FrameConnection connection, RefusalReason reason, string text, CancellationToken token)
    {
        await connection.Stream.WriteAsync(Handshake.RefuseFrame(reason, text), token);
        await LingerAsync(connection, token);
        throw new HandshakeException(reason, text, isByPeer: false, null);
    }

    /// <summary>Waits a little for the peer to close: closing on what it still sends would reset the connection before it has read why.</summary>
    private async Task LingerAsync(FrameConnection connection, CancellationToken token)
    {
        using var limit = new CancellationTokenSource(LingerMax, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            connection.Finish();
            for (var reads = 0; reads < LingerReadsMax; reads++)
            {
                connection.Use(connection.Pending.Length);
                if (!await connection.FillAsync(both.Token))
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
}
