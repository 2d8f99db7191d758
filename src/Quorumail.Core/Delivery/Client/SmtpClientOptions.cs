namespace Quorumail.Core.Delivery.Client;

/// <summary>How a session with one next hop is to be held.</summary>
public sealed record SmtpClientOptions
{
    /// <summary>Our name in EHLO: a domain or an address literal.</summary>
    public required string HelloName { get; init; }

    /// <summary>LHLO and a reply for each recipient after the dot (RFC 2033) in place of SMTP.</summary>
    public bool IsLmtp { get; init; }

    /// <summary>TLS stands before the greeting (RFC 8314).</summary>
    public bool StartsSecure { get; init; }

    /// <summary>Use STARTTLS if it is offered.</summary>
    public bool TryTls { get; init; } = true;

    /// <summary>No mail without TLS.</summary>
    public bool RequireTls { get; init; }

    /// <summary>For AUTH, or null for none.</summary>
    public ClientCredentials? Credentials { get; init; }

    /// <summary>Whether PLAIN and LOGIN may be used without TLS: only where nobody can listen, that is on loopback.</summary>
    public bool AllowsClearCredentials { get; init; }

    /// <summary>Printable, without a comma, at least 18 random characters: the client's nonce for SCRAM.</summary>
    public string ScramNonce { get; init; } = string.Empty;
}
