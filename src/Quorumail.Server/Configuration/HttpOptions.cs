using System.Net;

namespace Quorumail.Server.Configuration;

/// <summary><c>[http]</c>: health, metrics and the administration interface.</summary>
public sealed record HttpOptions
{
    /// <summary>Address of the HTTP listener. Anything but loopback needs <see cref="Token"/>. Default: 127.0.0.1.</summary>
    [ConfigKey(IsRequired = true)]
    public IPAddress BindAddress { get; init; } = IPAddress.Loopback;

    /// <summary>Port of the HTTP listener; 0 takes any free one and logs which. Default: the guide's 8080.</summary>
    [ConfigKey(Minimum = 0, Maximum = 65535)]
    public int Port { get; init; } = 8080;

    /// <summary>What a caller must send as <c>Authorization: Bearer …</c>; empty: no token is asked for, on loopback only.</summary>
    [ConfigKey(IsSecret = true)]
    public string Token { get; init; } = "";

    /// <summary>A second listener, <c>address:port</c>, that serves only /healthz, /readyz and /metrics, without a token. Empty: none.</summary>
    public string HealthBind { get; init; } = "";
}
