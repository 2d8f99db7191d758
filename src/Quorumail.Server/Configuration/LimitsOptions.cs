using Quorumail.Core.Limits;

namespace Quorumail.Server.Configuration;

/// <summary><c>[limits]</c>: how much is accepted and delivered, counted over all nodes of the cluster.</summary>
public sealed record LimitsOptions
{
    /// <summary>Messages of one client address (of an IPv6 /64) in a window; further ones get 451 4.7.1. Trusted networks and loopback are exempt. Default: no limit.</summary>
    public MessageRate MaxMessagesPerAddress { get; init; }

    /// <summary>Messages of one user who logged in. Default: no limit.</summary>
    public MessageRate MaxMessagesPerUser { get; init; }

    /// <summary>Messages of one sender's domain. Default: no limit.</summary>
    public MessageRate MaxMessagesPerSenderDomain { get; init; }

    /// <summary>Messages for one recipient's domain. Default: no limit.</summary>
    public MessageRate MaxMessagesPerRecipientDomain { get; init; }

    /// <summary>Connections to one destination at once: a domain with transport <c>mx</c>, else a next hop. Default 0: no limit.</summary>
    [ConfigKey(Minimum = 0, Maximum = 100_000)]
    public int MaxConnectionsPerDestination { get; init; }

    /// <summary>Messages delivered to one destination in a window. Default: no limit.</summary>
    public MessageRate MaxDeliveriesPerDestination { get; init; }

    /// <summary>What holds on a node that hears of no leader.</summary>
    public LimitPolicy Policy { get; init; } = LimitPolicy.Closed;
}
