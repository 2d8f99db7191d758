using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Quorumail.Server.Delivery.Dns;

/// <summary>
/// Where mail may go: never to our own listeners, and by MX never to an address that means this machine or this link, whatever
/// a hostile zone says. Judged by address, also that of the connection made, never by name.
/// </summary>
public sealed class TargetPolicy
{
    private readonly Func<IReadOnlyCollection<IPAddress>> _localAddresses;
    private readonly HashSet<int> _ownPorts;
    private readonly string _ownName;

    /// <summary>A policy for a server with these listeners.</summary>
    /// <param name="ownName">Our host name: an MX of this name is ourselves.</param>
    /// <param name="ownPorts">Ports of our SMTP listeners.</param>
    /// <param name="localAddresses">This machine's addresses; null to ask the system.</param>
    public TargetPolicy(string ownName, IEnumerable<int> ownPorts, Func<IReadOnlyCollection<IPAddress>>? localAddresses = null)
    {
        _ownName = ownName;
        _ownPorts = [.. ownPorts];
        _localAddresses = localAddresses ?? SystemAddresses;
    }

    /// <summary>Whether an exchanger's name is our own.</summary>
    public bool IsOwnName(string host) => host.Equals(_ownName, StringComparison.OrdinalIgnoreCase);

    /// <summary>Why mail may not go there, or null if it may.</summary>
    public string? Objection(IPEndPoint endPoint, bool byMx)
    {
        ArgumentNullException.ThrowIfNull(endPoint);
        var address = endPoint.Address.IsIPv4MappedToIPv6 ? endPoint.Address.MapToIPv4() : endPoint.Address;
        if (_ownPorts.Contains(endPoint.Port) && (IPAddress.IsLoopback(address) || IsUnspecified(address) || _localAddresses().Contains(address)))
        {
            return $"{address} port {endPoint.Port} is this server itself";
        }

        return byMx && IsUnreachable(address) ? $"{address} is no address that mail may be sent to" : null;
    }

    private static bool IsUnspecified(IPAddress address) => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);

    /// <summary>0/8, 127/8, 169.254/16, 224/3 and broadcast; ::, ::1, fe80::/10, ff00::/8 and IPv4 addresses hidden in IPv6.</summary>
    private static bool IsUnreachable(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (!address.TryWriteBytes(bytes, out var length))
        {
            return true;
        }

        if (address.AddressFamily == AddressFamily.InterNetwork)
        {
            return bytes[0] is 0 or 127 or >= 224 || (bytes[0] == 169 && bytes[1] == 254);
        }

        if (address.IsIPv6LinkLocal || address.IsIPv6Multicast || address.IsIPv6SiteLocal)
        {
            return true;
        }

        // ::/96 (:: and ::1 among them), 64:ff9b::/96 (NAT64) and 2002::/16 (6to4) hold IPv4 addresses.
        if (bytes[..12].IndexOfAnyExcept((byte)0) < 0)
        {
            return true;
        }

        ReadOnlySpan<byte> nat64 = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
        return bytes[..12].SequenceEqual(nat64) ? IsUnreachable(new IPAddress(bytes[12..length]))
            : bytes[0] == 0x20 && bytes[1] == 0x02 && IsUnreachable(new IPAddress(bytes[2..6]));
    }

    private static HashSet<IPAddress> SystemAddresses()
    {
        HashSet<IPAddress> addresses = [];
        foreach (var card in NetworkInterface.GetAllNetworkInterfaces())
        {
            foreach (var unicast in card.GetIPProperties().UnicastAddresses)
            {
                addresses.Add(unicast.Address);
            }
        }

        return addresses;
    }
}
