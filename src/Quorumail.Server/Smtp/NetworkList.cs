using System.Net;

namespace Quorumail.Server.Smtp;

/// <summary>Networks to compare addresses with. IPv4 addresses mapped into IPv6 compare as IPv4.</summary>
public sealed class NetworkList
{
    private readonly IPNetwork[] _networks;

    public NetworkList(IEnumerable<IPNetwork> networks)
    {
        ArgumentNullException.ThrowIfNull(networks);
        _networks = networks.ToArray();
    }

    /// <summary>No network.</summary>
    public static NetworkList Empty { get; } = new([]);

    /// <summary>The address as IPv4 if it is a mapped one.</summary>
    public static IPAddress Plain(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
    }

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
