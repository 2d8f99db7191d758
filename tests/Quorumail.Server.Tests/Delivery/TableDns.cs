using System.Net;
using Quorumail.Server.Delivery.Dns;

namespace Quorumail.Server.Tests.Delivery;

/// <summary>A DNS of a few lines: "MX domain preference host", "A host address", "FAIL name", "NONE name" (exists without records).</summary>
internal sealed class TableDns(params string[] lines) : IDnsLookup
{
    private readonly string[][] _rows = [.. lines.Select(line => line.Split(' '))];

    public int Questions { get; private set; }

    public ValueTask<DnsAnswer<MailExchanger>> FindMailExchangersAsync(string domain, CancellationToken token)
    {
        Questions++;
        var found = Rows("MX", domain).Select(row => new MailExchanger(int.Parse(row[2], null), row[3].TrimEnd('.'))).ToList();
        return ValueTask.FromResult(new DnsAnswer<MailExchanger>(Status(domain, found.Count), found, "SERVFAIL"));
    }

    public ValueTask<DnsAnswer<IPAddress>> FindAddressesAsync(string host, CancellationToken token)
    {
        Questions++;
        var found = Rows("A", host).Select(row => IPAddress.Parse(row[2])).ToList();
        return ValueTask.FromResult(new DnsAnswer<IPAddress>(Status(host, found.Count), found, "SERVFAIL"));
    }

    public ValueTask<DnsAnswer<IPAddress>> FindNamedHostAsync(string host, CancellationToken token) => FindAddressesAsync(host, token);

    private IEnumerable<string[]> Rows(string type, string name) => _rows.Where(row => row[0] == type && row[1] == name);

    private DnsStatus Status(string name, int found) =>
        found > 0 ? DnsStatus.Found
        : Rows("FAIL", name).Any() ? DnsStatus.Failed
        : _rows.Any(row => row[1] == name) ? DnsStatus.NoData
        : DnsStatus.NoSuchName;
}
