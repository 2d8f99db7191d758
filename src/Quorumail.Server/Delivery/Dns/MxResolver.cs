using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Quorumail.Core.Delivery.Client;

namespace Quorumail.Server.Delivery.Dns;

/// <summary>
/// Finds the addresses of a next hop (RFC 5321 5.1): exchangers by preference and at random among equals, the domain's own
/// addresses if it has none, IPv6 and IPv4 alternating.
/// </summary>
internal sealed class MxResolver(IDnsLookup dns, TargetPolicy policy, Func<int, int> random)
{
    /// <summary>Most addresses of one attempt (DESIGN 8).</summary>
    public const int TargetsMax = 5;

    /// <summary>Most exchangers that are looked at: a zone may list hundreds.</summary>
    private const int ExchangersMax = 20;

    private const int NameMax = 253;

    /// <summary>Resolves a next hop.</summary>
    public async ValueTask<TargetResolution> ResolveAsync(NextHop nextHop, CancellationToken token)
    {
        if (TryReadLiteral(nextHop.Host, out var literal))
        {
            return Choose([(nextHop.Host, [literal])], nextHop, failure: null);
        }

        if (!nextHop.ByMx)
        {
            var named = await dns.FindNamedHostAsync(nextHop.Host, token);
            return named.Status == DnsStatus.Found
                ? Choose([(nextHop.Host, named.Records)], nextHop, failure: null)
                : Nothing("4.4.3", $"{nextHop.Host} has no address: {named.Detail}");
        }

        return ToAscii(nextHop.Host) is { } domain
            ? await ResolveDomainAsync(domain, nextHop, token)
            : Nothing("5.1.2", $"{nextHop.Host} is no domain name");
    }

    private async ValueTask<TargetResolution> ResolveDomainAsync(string domain, NextHop nextHop, CancellationToken token)
    {
        var answer = await dns.FindMailExchangersAsync(domain, token);
        switch (answer.Status)
        {
            case DnsStatus.NoSuchName:
                return Nothing("5.1.2", $"the domain {domain} does not exist");
            case DnsStatus.Failed:
                return Nothing("4.4.3", $"the DNS does not answer: {answer.Detail}");
            case DnsStatus.NoData:
                return await ResolveHostsAsync([domain], nextHop, token);
            default:
                break;
        }

        if (answer.Records.All(static exchanger => exchanger.Host.Length == 0))
        {
            return Nothing("5.1.10", $"the domain {domain} takes no mail (null MX)");
        }

        var exchangers = answer.Records.Where(static exchanger => exchanger.Host.Length > 0)
            .OrderBy(static exchanger => exchanger.Preference).ThenBy(_ => random(int.MaxValue))
            .ToList();
        var own = exchangers.FindIndex(exchanger => policy.IsOwnName(exchanger.Host));
        if (own >= 0)
        {
            // RFC 5321 5.1: where we are an exchanger ourselves, only better ones are of use.
            var preference = exchangers[own].Preference;
            exchangers.RemoveAll(exchanger => exchanger.Preference >= preference);
            if (exchangers.Count == 0)
            {
                return Nothing("5.4.6", $"mail for {domain} loops back: this server is its best exchanger");
            }
        }

        return await ResolveHostsAsync([.. exchangers.Take(ExchangersMax).Select(static exchanger => exchanger.Host)], nextHop, token);
    }

    private async ValueTask<TargetResolution> ResolveHostsAsync(
        IReadOnlyList<string> hosts, NextHop nextHop, CancellationToken token)
    {
        List<(string Host, IReadOnlyList<IPAddress> Addresses)> found = [];
        string? failure = null;
        var count = 0;
        foreach (var host in hosts)
        {
            var answer = await dns.FindAddressesAsync(host, token);
            if (answer.Status == DnsStatus.Found)
            {
                found.Add((host, answer.Records));
                count += answer.Records.Count(address => policy.Objection(new IPEndPoint(address, nextHop.Port), byMx: true) is null);
                if (count >= TargetsMax)
                {
                    break;
                }
            }
            else if (answer.Status == DnsStatus.Failed)
            {
                failure ??= answer.Detail;
            }
        }

        return Choose(found, nextHop, failure);
    }

    private TargetResolution Choose(
        IReadOnlyList<(string Host, IReadOnlyList<IPAddress> Addresses)> hosts, NextHop nextHop, string? failure)
    {
        List<DeliveryTarget> targets = [];
        string? objection = null;
        foreach (var (host, addresses) in hosts)
        {
            foreach (var address in Alternate(addresses))
            {
                var target = new DeliveryTarget(host, new IPEndPoint(address, nextHop.Port));
                if (policy.Objection(target.EndPoint, nextHop.ByMx) is { } why)
                {
                    objection ??= why;
                }
                else if (targets.Count < TargetsMax)
                {
                    targets.Add(target);
                }
            }
        }

        if (targets.Count > 0)
        {
            return new TargetResolution(targets);
        }

        if (failure is not null)
        {
            return Nothing("4.4.3", $"the DNS does not answer: {failure}");
        }

        return objection is not null
            ? Nothing("5.4.6", $"no way to {nextHop.Host}: {objection}")
            : Nothing("5.4.4", $"no host for {nextHop.Host} has an address");
    }

    private IEnumerable<IPAddress> Alternate(IReadOnlyList<IPAddress> addresses)
    {
        var mixed = addresses.OrderBy(_ => random(int.MaxValue)).ToList();
        var six = mixed.Where(static address => address.AddressFamily == AddressFamily.InterNetworkV6).ToList();
        var four = mixed.Where(static address => address.AddressFamily == AddressFamily.InterNetwork).ToList();
        for (var i = 0; i < Math.Max(six.Count, four.Count); i++)
        {
            if (i < six.Count)
            {
                yield return six[i];
            }

            if (i < four.Count)
            {
                yield return four[i];
            }
        }
    }

    private static bool TryReadLiteral(string host, out IPAddress address)
    {
        var text = host.AsSpan();
        if (text is ['[', .., ']'])
        {
            text = text[1..^1];
            if (text.StartsWith("IPv6:", StringComparison.OrdinalIgnoreCase))
            {
                text = text[5..];
            }
        }

        return IPAddress.TryParse(text, out address!);
    }

    /// <summary>The form of a domain in the DNS (RFC 5890), or null if it has none.</summary>
    private static string? ToAscii(string domain)
    {
        try
        {
            var ascii = Ascii.IsValid(domain) ? domain : new IdnMapping().GetAscii(domain);
            return ascii.Length is > 0 and <= NameMax && !ascii.AsSpan().ContainsAnyExceptInRange('!', '~') ? ascii : null;
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    private static TargetResolution Nothing(string enhancedCode, string reason) =>
        new([], enhancedCode, ReplyParser.Escape(Encoding.UTF8.GetBytes(reason), SmtpReply.TextMax));
}
