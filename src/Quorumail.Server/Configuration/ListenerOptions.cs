using System.Net;

namespace Quorumail.Server.Configuration;

/// <summary>Whom an SMTP listener serves.</summary>
public enum ListenerRole
{
    /// <summary>Other servers: no AUTH; local and relay domains, and relaying for trusted networks.</summary>
    Mx = 0,

    /// <summary>Mail programs: TLS, then AUTH, always; the sender must belong to the user (RFC 6409).</summary>
    Submission = 1,
}

/// <summary>How an SMTP listener speaks TLS.</summary>
public enum ListenerTls
{
    /// <summary>STARTTLS is not offered.</summary>
    None = 0,

    /// <summary>STARTTLS is offered if there is a certificate (RFC 3207).</summary>
    Starttls = 1,

    /// <summary>TLS from the first octet (RFC 8314).</summary>
    Implicit = 2,
}

/// <summary><c>[[listeners]]</c>: an SMTP listener besides that of <c>[server]</c>.</summary>
public sealed record ListenerOptions
{
    /// <summary>Address; <c>::</c> takes IPv4 as well. Default: all of IPv4.</summary>
    [ConfigKey(IsRequired = true)]
    public IPAddress Address { get; init; } = IPAddress.Any;

    /// <summary>Port; must be given. 0 takes any free one and logs which.</summary>
    [ConfigKey(Minimum = 0, Maximum = 65535, IsRequired = true)]
    public int Port { get; init; }

    /// <summary>Whom it serves.</summary>
    public ListenerRole Role { get; init; } = ListenerRole.Submission;

    /// <summary>How it speaks TLS.</summary>
    public ListenerTls Tls { get; init; } = ListenerTls.Starttls;
}
