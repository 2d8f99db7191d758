namespace Quorumail.Server.Configuration;

/// <summary>How mail of a route travels on.</summary>
public enum RouteTransport
{
    /// <summary>By SMTP to the named host (a smarthost or an inner server).</summary>
    Smtp = 0,

    /// <summary>By SMTP to the domain's mail exchangers (RFC 5321 5.1).</summary>
    Mx = 1,

    /// <summary>By LMTP to the named host (RFC 2033).</summary>
    Lmtp = 2,

    /// <summary>Into a Maildir of this machine.</summary>
    Maildir = 3,

    /// <summary>Taken and thrown away.</summary>
    Discard = 4,
}

/// <summary>How far TLS to the next hop goes.</summary>
public enum DeliveryTls
{
    /// <summary>Never.</summary>
    None = 0,

    /// <summary>If offered, unverified; after a failed handshake once more in plain (RFC 7435).</summary>
    May = 1,

    /// <summary>Always, unverified; else deferred.</summary>
    Encrypt = 2,

    /// <summary>Always, with a verified name and chain; else deferred.</summary>
    Verify = 3,
}

/// <summary><c>[[routes]]</c>: the way of a domain's mail. The most specific match wins, whatever the order.</summary>
public sealed record RouteOptions
{
    /// <summary>A domain, <c>.example.org</c> or <c>*.example.org</c> for its subdomains, or <c>*</c> for every other domain.</summary>
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
    public DeliveryTls? Tls { get; init; }

    /// <summary>User name for AUTH at the next hop. Empty: no AUTH.</summary>
    public string User { get; init; } = "";

    /// <summary>Password for AUTH at the next hop.</summary>
    [ConfigKey(IsSecret = true)]
    public string Password { get; init; } = "";
}
