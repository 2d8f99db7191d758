using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Quorumail.Core.Cluster;

/// <summary>Where a peer listens: a host name, an IPv4 address or an IPv6 address, and a port.</summary>
/// <param name="Host">Name or address, an IPv6 address without brackets.</param>
/// <param name="Port">1 to 65535.</param>
public sealed record PeerAddress(string Host, int Port)
{
    /// <summary>The cluster port, if an address names none.</summary>
    public const int DefaultPort = 9000;

    // RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters.
    private const int HostMax = 253;

    /// <summary>
    /// Reads <c>host</c>, <c>host:port</c>, <c>192.0.2.1:port</c> or <c>[2001:db8::1]:port</c>; spaces around it don't
    /// matter. An IPv6 address without brackets is taken whole, without a port.
    /// </summary>
    /// <param name="text">One entry of a list.</param>
    /// <param name="address">What it says.</param>
    /// <param name="problem">What is wrong with it; names the entry.</param>
    public static bool TryParse(string text, out PeerAddress? address, out string? problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        address = null;
        var entry = text.Trim();
        problem = Split(entry, out var host, out var portText) ?? HostProblem(host);
        var port = DefaultPort;
        if (problem is null && portText is not null
            && (!int.TryParse(portText, NumberStyles.None, CultureInfo.InvariantCulture, out port) || port is < 1 or > 65535))
        {
            problem = $"its port \"{portText}\" is not a number from 1 to 65535";
        }

        if (problem is not null)
        {
            problem = $"peer \"{entry}\": {problem}";
            return false;
        }

        address = new PeerAddress(Unbracket(host), port);
        return true;
    }

    /// <summary>The address as <see cref="TryParse"/> reads it.</summary>
    public override string ToString() =>
        Host.Contains(':', StringComparison.Ordinal)
            ? string.Create(CultureInfo.InvariantCulture, $"[{Host}]:{Port}")
            : string.Create(CultureInfo.InvariantCulture, $"{Host}:{Port}");

    private static string? Split(string entry, out string host, out string? port)
    {
        host = entry;
        port = null;
        if (entry.StartsWith('['))
        {
            var end = entry.IndexOf(']', StringComparison.Ordinal);
            if (end < 0 || (end + 1 < entry.Length && entry[end + 1] != ':'))
            {
                return "it should be [address]:port";
            }

            host = entry[..(end + 1)];
            port = end + 1 < entry.Length ? entry[(end + 2)..] : null;
            return null;
        }

        var first = entry.IndexOf(':', StringComparison.Ordinal);
        if (first >= 0 && entry.LastIndexOf(':') == first)
        {
            host = entry[..first];
            port = entry[(first + 1)..];
        }

        return null;
    }

    private static string? HostProblem(string host)
    {
        if (host.Length == 0)
        {
            return "it has no host";
        }

        if (host.Contains(':', StringComparison.Ordinal))
        {
            var inner = Unbracket(host);
            return IPAddress.TryParse(inner, out var parsed) && parsed.AddressFamily == AddressFamily.InterNetworkV6
                ? null
                : $"\"{inner}\" is not an IPv6 address (and a host name has no colon)";
        }

        if (host.Length > HostMax || host.StartsWith('.') || host.Contains("..", StringComparison.Ordinal))
        {
            return "its host is not a name";
        }

        foreach (var c in host)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '.' or '_'))
            {
                return $"its host has a '{c}'";
            }
        }

        return null;
    }

    private static string Unbracket(string host) => host.StartsWith('[') ? host[1..^1] : host;
}
