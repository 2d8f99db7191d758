namespace Quorumail.Core.Delivery;

/// <summary>Where mail for some domains goes. Routes are compared by reference: one instance is one route.</summary>
public sealed class Route
{
    /// <summary>The route of domains that no other matches, if none is configured for "*".</summary>
    public static Route DefaultMx { get; } = new() { Match = "*", Transport = RouteTransport.Mx };

    /// <summary>
    /// A domain (<c>example.org</c>), everything below one (<c>*.example.org</c>, not the domain itself), or every other
    /// domain (<c>*</c>). Case does not matter.
    /// </summary>
    public required string Match { get; init; }

    /// <summary>How.</summary>
    public required RouteTransport Transport { get; init; }

    /// <summary>Host name or address for <see cref="RouteTransport.Smtp"/> and <see cref="RouteTransport.Lmtp"/>.</summary>
    public string Host { get; init; } = "";

    /// <summary>TCP port for SMTP and LMTP.</summary>
    public int Port { get; init; } = 25;

    /// <summary>What is asked of TLS.</summary>
    public RouteTls Tls { get; init; } = RouteTls.May;

    /// <summary>TLS from the first byte (RFC 8314) instead of STARTTLS.</summary>
    public bool ImplicitTls { get; init; }

    /// <summary>User name for AUTH at the next hop, or null.</summary>
    public string? UserName { get; init; }

    /// <summary>Password for AUTH at the next hop, or null.</summary>
    public string? Password { get; init; }

    /// <summary>Name of the cluster's limit of connections to one destination.</summary>
    public string ConnectionLimit { get; init; } = "";

    /// <summary>Name of the cluster's limit of deliveries to one destination.</summary>
    public string DeliveryLimit { get; init; } = "";

    /// <summary>Root directory for <see cref="RouteTransport.Maildir"/>.</summary>
    public string Path { get; init; } = "";

    /// <summary>Whether all nodes that may deliver see the same files under <see cref="Path"/>.</summary>
    public bool IsShared { get; init; } = true;

    /// <summary>
    /// Whether delivering the same message twice leaves one copy, so that no accepted start is needed before it
    /// (Maildir by file name, discard).
    /// </summary>
    public bool IsIdempotent => Transport == RouteTransport.Discard || (Transport == RouteTransport.Maildir && IsShared);

    public override string ToString() => Transport switch
    {
        RouteTransport.Smtp or RouteTransport.Lmtp => $"{Match} → {Transport} {Host}:{Port}",
        RouteTransport.Maildir => $"{Match} → {Transport} {Path}",
        _ => $"{Match} → {Transport}",
    };
}
