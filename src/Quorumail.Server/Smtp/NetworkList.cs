using System.Net;

namespace Quorumail.Server.Smtp;

/// <summary>Networks to compare addresses with. IPv4 addresses mapped into IPv6 compare as IPv4.</summary>
public sealed class NetworkList
{
    private const int MappedPrefixLength = 96;

    private readonly IPNetwork[] _networks;

    public NetworkList(IEnumerable<IPNetwork> networks)
    {
        ArgumentNullException.ThrowIfNull(networks);
        _networks = networks.Select(Plain).ToArray();
    }

    /// <summary>No network.</summary>
    public static NetworkList Empty { get; } = new([]);

    /// <summary>The address as IPv4 if it is a mapped one.</summary>
    public static IPAddress Plain(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
    }

    /// <summary>The network as one of IPv4 if it is one of mapped addresses.</summary>
    public static IPNetwork Plain(IPNetwork network) =>
        network.BaseAddress.IsIPv4MappedToIPv6 && network.PrefixLength >= MappedPrefixLength
            ? new IPNetwork(network.BaseAddress.MapToIPv4(), network.PrefixLength - MappedPrefixLength)
            : network;

    /// <summary>Whether the address lies in one of the networks.</summary>
    public bool Contains(IPAddress address)
    {
        var plain = Plain(address);
        foreach (var network in _networks)
        {
            if (network.Contains(plain))
            {
                return true;
            }
        }

        return false;
    }
}
