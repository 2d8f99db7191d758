namespace Quorumail.Server.Smtp;

/// <summary>Times, rates and counts of the connections that mail comes by, with their origins.</summary>
public sealed record ReceivingOptions
{
    /// <summary>Silence between commands or within the data before 421. Default 5 minutes (RFC 5321 4.5.3.2.7).</summary>
    public TimeSpan CommandTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A transaction from MAIL to its end. Default 1 hour (ours).</summary>
    public TimeSpan TransactionTimeout { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Waiting for the commit before 451 4.3.2. Default 10 s, below the 50 s of load balancers.</summary>
    public TimeSpan CommitTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>PROXY header and TLS handshake together. Default 30 s (ours).</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A reply that the client doesn't read. Default 5 minutes, as for a command.</summary>
    public TimeSpan WriteTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Octets a second of message data on average, after <see cref="DataRateGrace"/>. Default 100 (ours).</summary>
    public int DataRateMin { get; init; } = 100;

    /// <summary>Time before the data rate is looked at. Default 1 minute (ours).</summary>
    public TimeSpan DataRateGrace { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Pause before a failed authentication is answered. Default 1 s (ours).</summary>
    public TimeSpan AuthenticationPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>New sessions are told 421 for so long while there is no majority, or this node drains; then the listeners close until that is over.</summary>
    public TimeSpan RefuseGrace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time for running sessions to end when this node drains; then they are cut off. Default 20 s, as when it stops.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Connections in all; further ones get 421 4.7.0. Default 10 000 (ours).</summary>
    public int ConnectionsMax { get; init; } = 10_000;

    /// <summary>Connections of one address; 0 for no limit. Default 1000 (ours).</summary>
    public int ConnectionsPerAddressMax { get; init; } = 1000;

    /// <summary>May relay, and are exempt from the limits per address. Default none.</summary>
    public NetworkList Trusted { get; init; } = NetworkList.Empty;

    /// <summary>Load balancers that must send a PROXY header first. Default none.</summary>
    public NetworkList ProxyFrom { get; init; } = NetworkList.Empty;
}
