using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Delivery;
using Quorumail.Core.Delivery.Client;
using Quorumail.Server.Delivery.Dns;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Delivery.Transport;

/// <summary>What came of connecting to one address: a connection whose session is ready, or why not.</summary>
internal readonly record struct ConnectResult(SmtpConnection? Connection, ClientFailure? Failure);

/// <summary>Makes connections to next hops, up to a session that is ready for mail.</summary>
internal sealed partial class SmtpConnector(
    string helloName, TargetPolicy policy, SmtpClientLimits limits, TimeProvider time, ILogger<SmtpConnector> log)
{
    private const int NonceLength = 18;

    /// <summary>Trusted roots for <c>verify</c>; null for the system's.</summary>
    public X509Certificate2Collection? TrustedRoots { get; init; }

    /// <summary>Connects to one address. A handshake that fails is tried again without TLS where TLS is optional.</summary>
    /// <param name="nextHop">Where it leads.</param>
    /// <param name="target">The address.</param>
    /// <param name="slot">The connection's from the moment that there is one; null if connections are not limited.</param>
    /// <param name="abort">Ends everything at once.</param>
    public async Task<ConnectResult> ConnectAsync(NextHop nextHop, DeliveryTarget target, ConnectionSlot? slot, CancellationToken abort)
    {
        var result = await ConnectAsync(nextHop, target, slot, nextHop.Route.Tls != RouteTls.None, abort);
        if (result.Failure is { Stage: ClientStage.TlsHandshake } failure && nextHop.Route is { Tls: RouteTls.May, ImplicitTls: false } && !abort.IsCancellationRequested)
        {
            LogFallback(log, target.ToString(), failure.Reason);
            if (slot is not null)
            {
                // The peer still counts the connection that has failed.
                await Task.Delay(ConnectionSlot.UnseenTime, time, abort);
            }

            result = await ConnectAsync(nextHop, target, slot, tryTls: false, abort);
        }

        return result;
    }

    private async Task<ConnectResult> ConnectAsync(NextHop nextHop, DeliveryTarget target, ConnectionSlot? slot, bool tryTls, CancellationToken abort)
    {
        Socket? socket = null;
        SmtpConnection? connection = null;
        ClientFailure? failure;
        try
        {
            socket = new Socket(target.EndPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            failure = await DialAsync(socket, nextHop, target, slot, abort);
            if (failure is null)
            {
                connection = NewConnection(socket, nextHop, target, slot, tryTls, abort);
                if (!nextHop.Route.ImplicitTls || await connection.SecureAsync(TlsOptions(nextHop, target)))
                {
                    await connection.OpenAsync(TlsOptions(nextHop, target));
                }

                if (connection.Session.Step == ClientStep.Ready)
                {
                    return new ConnectResult(connection, null);
                }

                failure = connection.Session.Failure
                    ?? new ClientFailure(connection.Session.Stage, "4.4.2", "the session ended", IsPermanent: false);
            }
        }
        catch (Exception error)
        {
            // Such as a kernel without IPv6: whatever it is, it is this address's, and the next may do better.
            failure = new ClientFailure(connection?.Session.Stage ?? ClientStage.Connect, "4.4.1", OneLine($"connecting failed: {error.Message}"), IsPermanent: false);
        }

        if (connection is not null)
        {
            await connection.DropAsync();
        }

        socket?.Dispose();
        return new ConnectResult(null, failure);
    }

    private SmtpConnection NewConnection(
        Socket socket, NextHop nextHop, DeliveryTarget target, ConnectionSlot? slot, bool tryTls, CancellationToken abort)
    {
        var session = new SmtpClientSession(
            new SmtpClientOptions
            {
                HelloName = helloName,
                IsLmtp = nextHop.IsLmtp,
                StartsSecure = nextHop.Route.ImplicitTls,
                TryTls = tryTls,
                RequireTls = nextHop.Route.Tls is RouteTls.Encrypt or RouteTls.Verify,
                Credentials = nextHop.Credentials,
                AllowsClearCredentials = System.Net.IPAddress.IsLoopback(target.EndPoint.Address),
                ScramNonce = Convert.ToBase64String(RandomNumberGenerator.GetBytes(NonceLength)),
            },
            limits);
        var connection = new SmtpConnection(
            new NetworkStream(socket, ownsSocket: false), socket, target, session, limits, time, abort);
        if (slot is not null)
        {
            connection.Hold(slot);
        }

        return connection;
    }

    private async Task<ClientFailure?> DialAsync(Socket socket, NextHop nextHop, DeliveryTarget target, ConnectionSlot? slot, CancellationToken abort)
    {
        using var deadline = new CancellationTokenSource(limits.ConnectTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, abort, slot?.Lost ?? CancellationToken.None);
        try
        {
            await socket.ConnectAsync(target.EndPoint, both.Token);
        }
        catch (OperationCanceledException)
        {
            return Failed("4.4.1", "connecting timed out or was stopped");
        }
        catch (SocketException error)
        {
            return Failed("4.4.1", $"connecting failed: {error.SocketErrorCode}");
        }

        // What counts is where the connection leads, not what was asked for.
        return socket.RemoteEndPoint is System.Net.IPEndPoint reached && policy.Objection(reached, nextHop.ByMx) is { } why
            ? new ClientFailure(ClientStage.Connect, "5.4.6", why, IsPermanent: true)
            : null;
    }

    private SslClientAuthenticationOptions TlsOptions(NextHop nextHop, DeliveryTarget target)
    {
        var options = new SslClientAuthenticationOptions
        {
            TargetHost = target.Host,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        };
        if (nextHop.Route.Tls != RouteTls.Verify)
        {
            // Opportunistic: an unverified key keeps out those who only listen (RFC 7435).
#pragma warning disable CA5359, MA0039 // The route says that nothing is to be verified.
            options.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
#pragma warning restore CA5359, MA0039
        }
        else if (TrustedRoots is not null)
        {
            options.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(TrustedRoots);
        }

        return options;
    }

    private static string OneLine(string text) => ReplyParser.Escape(System.Text.Encoding.UTF8.GetBytes(text), SmtpReply.TextMax);

    private static ClientFailure Failed(string code, string reason) => new(ClientStage.Connect, code, reason, IsPermanent: false);

    [LoggerMessage(1, LogLevel.Warning, "TLS with {Relay} failed, going on without: {Reason}")]
    private static partial void LogFallback(ILogger log, string relay, string reason);
}
