using Quorumail.Core.Delivery;

namespace Quorumail.Server.Configuration;

/// <summary>What happens to an 8-bit message when the next hop lacks 8BITMIME.</summary>
public enum EightBitDowngrade
{
    /// <summary>Its parts are encoded anew (RFC 6152 3).</summary>
    Convert = 0,

    /// <summary>It is sent as it is.</summary>
    Pass = 1,

    /// <summary>It bounces with 5.6.3.</summary>
    Bounce = 2,
}

/// <summary><c>[delivery]</c>: sending mail on.</summary>
public sealed record DeliveryOptions
{
    /// <summary>Deliveries to next hops under way at once; as many more into Maildirs. Default 100, as Postfix's process limit.</summary>
    [ConfigKey(Minimum = 1, Maximum = 10_000)]
    public int Concurrency { get; init; } = 100;

    /// <summary>Deliveries under way at once to one destination. Default 20, as Postfix.</summary>
    [ConfigKey(Minimum = 1, Maximum = 10_000)]
    public int ConcurrencyPerDestination { get; init; } = 20;

    /// <summary>DNS servers, <c>address</c> or <c>address:port</c>. Empty: those of the system.</summary>
    public IReadOnlyList<string> DnsServers { get; init; } = [];

    /// <summary>8-bit messages for next hops without 8BITMIME.</summary>
    [ConfigKey(Name = "downgrade_8bit")]
    public EightBitDowngrade Downgrade8Bit { get; init; } = EightBitDowngrade.Convert;

    /// <summary>TLS to next hops whose route says nothing of its own.</summary>
    public RouteTls Tls { get; init; } = RouteTls.May;

    /// <summary>Our name in EHLO. Empty: <c>[server] hostname</c>.</summary>
    public string Helo { get; init; } = "";
}
