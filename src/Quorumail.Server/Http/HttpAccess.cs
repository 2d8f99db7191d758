using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Quorumail.Server.Smtp;

namespace Quorumail.Server.Http;

/// <summary>
/// Who may ask what. With a token: whoever sends it. Without one the server is on loopback only, and a browser is the one
/// stranger who can get there: a name for us that isn't local, or a foreign Origin, is refused (DNS rebinding, CSRF).
/// </summary>
internal sealed class HttpAccess
{
    private readonly byte[]? _tokenHash;
    private readonly IPEndPoint? _health;

    /// <param name="token">Empty: none is asked for.</param>
    /// <param name="health">Where only health and metrics are served; null: nowhere.</param>
    public HttpAccess(string token, IPEndPoint? health)
    {
        _tokenHash = token.Length > 0 ? SHA256.HashData(Encoding.UTF8.GetBytes(token)) : null;
        _health = health;
    }

    /// <summary>Null if the request may pass, else status and reason.</summary>
    public (int Status, string Reason)? Refusal(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "/";
        var isHealth = IsHealth(path);
        if (IsOnHealthListener(context.Connection))
        {
            return isHealth || IsMetrics(path) ? null : (StatusCodes.Status404NotFound, "only health and metrics are served here");
        }

        if (isHealth)
        {
            return null;
        }

        if (!IsOwnOrigin(context.Request))
        {
            return (StatusCodes.Status403Forbidden, "requests from other web sites are refused");
        }

        if (_tokenHash is null)
        {
            return IsLocalName(context.Request.Host)
                ? null
                : (StatusCodes.Status403Forbidden, "without a token the Host must be localhost or a loopback address");
        }

        return IsDocument(path) || HasToken(context.Request)
            ? null
            : (StatusCodes.Status401Unauthorized, "a token is needed: Authorization: Bearer …");
    }

    /// <summary>The paths for probes.</summary>
    public static bool IsHealth(string path) => path is "/healthz" or "/readyz" or "/livez" or "/health" or "/ready";

    // They hold no data, and a browser that follows a link sends no token.
    private static bool IsDocument(string path) => path.TrimEnd('/') is "/api" or "/api/openapi.json";

    private static bool IsMetrics(string path) => path is "/metrics";

    // Another address may have the same port.
    private bool IsOnHealthListener(ConnectionInfo connection) => _health is not null
        && connection.LocalPort == _health.Port
        && (_health.Address.Equals(IPAddress.Any) || _health.Address.Equals(IPAddress.IPv6Any)
            || (connection.LocalIpAddress is { } local && NetworkList.Plain(local).Equals(NetworkList.Plain(_health.Address))));

    private bool HasToken(HttpRequest request)
    {
        const string Scheme = "Bearer ";
        var header = request.Headers.Authorization.ToString();
        if (!header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        // Hashes have one length, so that the comparison tells nothing of the token's either.
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(header[Scheme.Length..].Trim()));
        return CryptographicOperations.FixedTimeEquals(hash, _tokenHash);
    }

    private static bool IsOwnOrigin(HttpRequest request)
    {
        var origin = request.Headers.Origin.ToString();
        return origin.Length == 0
            || (Uri.TryCreate(origin, UriKind.Absolute, out var uri)
                && string.Equals(uri.Authority, request.Host.Value, StringComparison.OrdinalIgnoreCase));
    }

    private static bool IsLocalName(HostString host) =>
        host.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));
}
