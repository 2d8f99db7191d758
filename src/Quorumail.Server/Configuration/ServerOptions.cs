using System.Net;

namespace Quorumail.Server.Configuration;

/// <summary><c>[server]</c>: receiving mail.</summary>
public sealed record ServerOptions
{
    /// <summary>Address of the SMTP listener of role <c>mx</c>; <c>::</c> takes IPv4 as well. Default: all of IPv4.</summary>
    [ConfigKey(Environment = "SMTP_HOST", IsRequired = true)]
    public IPAddress Host { get; init; } = IPAddress.Any;

    /// <summary>Port of the SMTP listener of role <c>mx</c>; 0 takes any free one and logs which. Default: the guide's 2525.</summary>
    [ConfigKey(Environment = "SMTP_PORT", Minimum = 0, Maximum = 65535)]
    public int Port { get; init; } = 2525;

    /// <summary>Our name in the greeting, in Received: and in EHLO to others. Default: the machine's name.</summary>
    [ConfigKey(IsRequired = true)]
    public string Hostname { get; init; } = MachineName();

    /// <summary>Domains whose mailboxes are here; an unknown recipient of theirs gets 550 5.1.1. Default: localhost and <see cref="Hostname"/>.</summary>
    public IReadOnlyList<string> LocalDomains { get; init; } = [];

    /// <summary>Domains accepted from anyone and passed on by the routes (a backup MX). Default: none.</summary>
    public IReadOnlyList<string> RelayDomains { get; init; } = [];

    /// <summary>Networks that may relay anywhere and are exempt from the limits per address. Default: none, not even private ranges.</summary>
    public IReadOnlyList<IPNetwork> TrustedNetworks { get; init; } = [];

    /// <summary>Networks of load balancers that must send a PROXY header, v1 or v2, first; trust is judged by the address in it, and without one there is none.</summary>
    public IReadOnlyList<IPNetwork> ProxyFrom { get; init; } = [];

    /// <summary>Octets of a message at most; announced by SIZE; more gets 552 5.3.4 (RFC 1870). Default 50 MB, a common limit of mailbox providers.</summary>
    [ConfigKey(IsByteSize = true, Minimum = 65536, Maximum = 1L << 31)]
    public long MaxMessageSize { get; init; } = 50L << 20;

    /// <summary>Octets of a message's line with its CRLF at most; longer ones get 554 5.6.0. 0: no limit. Default 1000 (RFC 5321 4.5.3.1.6).</summary>
    [ConfigKey(Minimum = 0, Maximum = 1L << 30)]
    public int MaxLineLength { get; init; } = 1000;

    /// <summary>Recipients of a message at most; more get 452 4.5.3. RFC 5321 4.5.3.1.8 asks for at least 100. Default 1000, as Postfix.</summary>
    [ConfigKey(Minimum = 100, Maximum = 10_000)]
    public int MaxRecipients { get; init; } = 1000;

    /// <summary>SMTP sessions in all; further ones get 421 4.7.0. Default 10 000, below the 65 536 file descriptors that service managers usually grant.</summary>
    [ConfigKey(Minimum = 1, Maximum = 1_000_000)]
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>SMTP sessions of one address; further ones get 421 4.7.0. 0: no limit. Trusted networks and loopback are exempt.</summary>
    [ConfigKey(Minimum = 0, Maximum = 1_000_000)]
    public int MaxConnectionsPerAddress { get; init; } = 1000;

    /// <summary>Silence of a client, between commands or within the data, before 421. Default 5 minutes (RFC 5321 4.5.3.2.7).</summary>
    [ConfigKey(Minimum = 1, Maximum = 3600)]
    public TimeSpan CommandTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Time of one transaction from MAIL to its end at most, however busy the client keeps the connection. Default 1 hour.</summary>
    [ConfigKey(Minimum = 10, Maximum = 86_400)]
    public TimeSpan TransactionTimeout { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Waiting for the commit of a message before 451 4.3.2. Default 10 s, well below the 50 s after which load balancers hang up.</summary>
    [ConfigKey(Minimum = 0.1, Maximum = 45)]
    public TimeSpan CommitTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Without a majority of the cluster, and while this node drains, new sessions are told 421 for so long; then the listeners close until that is over. Default 10 s.</summary>
    [ConfigKey(Minimum = 0, Maximum = 3600)]
    public TimeSpan RefuseGrace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time for what is in flight when the server is told to stop, and for sessions when it drains. Default 20 s: Kubernetes kills after 30 s.</summary>
    [ConfigKey(Minimum = 0, Maximum = 3600)]
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>What happens to bare CR and LF in a message.</summary>
    public BareNewlines BareNewlines { get; init; } = BareNewlines.Reject;

    private static string MachineName()
    {
        var name = Environment.MachineName;
        return string.IsNullOrWhiteSpace(name) ? "localhost" : name;
    }
}
