using System.Net;
using System.Net.Sockets;
using Quorumail.Core.Mail;

namespace Quorumail.Server.Limits;

/// <summary>The limits that there are, as the log names them, and their keys.</summary>
internal static class LimitNames
{
    /// <summary>Received messages by client address.</summary>
    public const string PerAddress = "messages-per-address";

    /// <summary>Received messages by the user who logged in.</summary>
    public const string PerUser = "messages-per-user";

    /// <summary>Received messages by domain of the sender.</summary>
    public const string PerSenderDomain = "messages-per-sender-domain";

    /// <summary>Received messages by domain of a recipient.</summary>
    public const string PerRecipientDomain = "messages-per-recipient-domain";

    /// <summary>Open connections by destination of mail.</summary>
    public const string ConnectionsPerDestination = "connections-per-destination";

    /// <summary>Messages delivered by destination.</summary>
    public const string DeliveriesPerDestination = "deliveries-per-destination";

    /// <summary>Bits of an IPv6 address that tell clients apart: whoever has one address has all of its /64.</summary>
    private const int Ipv6PrefixOctets = 8;

    /// <summary>The limit that a route has instead of that for all destinations.</summary>
    public static string OfRoute(string limit, string match) => $"{limit}:{match.ToLowerInvariant()}";

    /// <summary>The key of a client.</summary>
    public static string KeyOf(IPAddress client)
    {
        if (client.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return client.ToString();
        }

        Span<byte> octets = stackalloc byte[16];
        client.TryWriteBytes(octets, out _);
        octets[Ipv6PrefixOctets..].Clear();
        return $"{new IPAddress(octets)}/64";
    }

    /// <summary>The key of an address's domain; null if it has none.</summary>
    public static string? KeyOf(MailPath path) => path.Domain.IsEmpty ? null : path.Domain.ToString().ToLowerInvariant();

    /// <summary>The key of a user.</summary>
    public static string KeyOf(string user) => user.ToLowerInvariant();
}
