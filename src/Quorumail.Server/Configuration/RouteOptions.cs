using Quorumail.Core.Delivery;

namespace Quorumail.Server.Configuration;

/// <summary><c>[[routes]]</c>: the way of a domain's mail. The most specific match wins, whatever the order.</summary>
public sealed record RouteOptions
{
    /// <summary>A domain, <c>*.example.org</c> for everything below one, or <c>*</c> for every other domain.</summary>
    [ConfigKey(IsRequired = true)]
    public string Match { get; init; } = "";

    /// <summary>How mail travels.</summary>
    public RouteTransport Transport { get; init; } = RouteTransport.Smtp;

    /// <summary>The next hop of <c>smtp</c> and <c>lmtp</c>: a name or an address. May be on loopback.</summary>
    public string Host { get; init; } = "";

    /// <summary>The next hop's port. Default 0: 25, and 24 for <c>lmtp</c>.</summary>
    [ConfigKey(Minimum = 0, Maximum = 65535)]
    public int Port { get; init; }

    /// <summary>TLS to the next hop. Default: what <c>[delivery] tls</c> says.</summary>
    public RouteTls? Tls { get; init; }

    /// <summary>TLS from the first octet (RFC 8314) instead of STARTTLS.</summary>
    public bool ImplicitTls { get; init; }

    /// <summary>User name for AUTH at the next hop. Empty: no AUTH.</summary>
    public string User { get; init; } = "";

    /// <summary>Password for AUTH at the next hop.</summary>
    [ConfigKey(IsSecret = true)]
    public string Password { get; init; } = "";

    /// <summary>Connections to one destination of this route at once, of all nodes together. Default 0: what <c>[limits] max_connections_per_destination</c> says.</summary>
    [ConfigKey(Minimum = 0, Maximum = 100_000)]
    public int MaxConnections { get; init; }

    /// <summary>Messages to one destination of this route in a window, of all nodes together. Default: what <c>[limits] max_deliveries_per_destination</c> says.</summary>
    public MessageRate MaxDeliveries { get; init; }

    /// <summary>Root directory of <c>maildir</c>. Default: that of local recipients.</summary>
    public string Path { get; init; } = "";

    /// <summary>That the directory of <c>maildir</c> lies on storage common to all nodes of a cluster, which must be so.</summary>
    public bool Shared { get; init; }
}
