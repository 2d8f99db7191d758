namespace Quorumail.Core.Delivery;

/// <summary>What a route asks of TLS to the next hop.</summary>
public enum RouteTls
{
    /// <summary>STARTTLS where offered, unverified; in plain text after a failed handshake.</summary>
    May = 0,

    /// <summary>Never.</summary>
    None = 1,

    /// <summary>TLS or no delivery; the certificate is not verified.</summary>
    Encrypt = 2,

    /// <summary>TLS with a valid certificate for the host's name, or no delivery.</summary>
    Verify = 3,
}
