using Quorumail.Core.Limits;

namespace Quorumail.Server.Configuration;

/// <summary><c>[limits]</c>: how many messages are accepted, counted over all nodes of the cluster.</summary>
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

    /// <summary>What holds on a node that hears of no leader.</summary>
    public LimitPolicy Policy { get; init; } = LimitPolicy.Closed;
}
