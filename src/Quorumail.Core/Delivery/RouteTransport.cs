namespace Quorumail.Core.Delivery;

/// <summary>How mail travels on from here.</summary>
public enum RouteTransport
{
    /// <summary>SMTP to the domain's mail exchangers (RFC 5321 5.1).</summary>
    Mx = 0,

    /// <summary>SMTP to one host, such as a smarthost.</summary>
    Smtp = 1,

    /// <summary>LMTP to one host (RFC 2033).</summary>
    Lmtp = 2,

    /// <summary>Files in a Maildir.</summary>
    Maildir = 3,

    /// <summary>Accepted and thrown away.</summary>
    Discard = 4,
}
