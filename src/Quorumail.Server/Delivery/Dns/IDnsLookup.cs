using System.Net;

namespace Quorumail.Server.Delivery.Dns;

/// <summary>Questions to the DNS; the real one asks servers, the tests' one a table. Nothing is thrown for what the DNS says.</summary>
public interface IDnsLookup
{
    /// <summary>MX records of a domain, in any order.</summary>
    ValueTask<DnsAnswer<MailExchanger>> FindMailExchangersAsync(string domain, CancellationToken token);

    /// <summary>AAAA and A records of a host. Failed only if nothing was found and one of the questions failed.</summary>
    ValueTask<DnsAnswer<IPAddress>> FindAddressesAsync(string host, CancellationToken token);

    /// <summary>Addresses of a host as this machine resolves names: /etc/hosts and search domains count.</summary>
    ValueTask<DnsAnswer<IPAddress>> FindNamedHostAsync(string host, CancellationToken token);
}
