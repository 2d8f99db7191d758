using System.Net;
using System.Net.Sockets;
using DnsClient;
using DnsClient.Protocol;

namespace Quorumail.Server.Delivery.Dns;

/// <summary>Asks the configured DNS servers, or the system's. Answers are kept as long as their TTL says.</summary>
public sealed class DnsLookup : IDnsLookup
{
    private static readonly TimeSpan QuestionTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan CacheMax = TimeSpan.FromHours(1);
    private const int Port = 53;
    private readonly LookupClient _client;

    /// <summary>Uses the servers of <c>[delivery] dns_servers</c>.</summary>
    /// <param name="servers"><c>address</c> or <c>address:port</c>; empty for the system's.</param>
    /// <exception cref="FormatException">An entry is neither.</exception>
    public DnsLookup(IReadOnlyList<string> servers)
    {
        ArgumentNullException.ThrowIfNull(servers);
        var endPoints = servers.Select(ParseServer).ToArray();
        var options = endPoints.Length > 0 ? new LookupClientOptions(endPoints) : new LookupClientOptions();
        options.Timeout = QuestionTimeout;
        options.Retries = 2;
        options.UseCache = true;
        options.MaximumCacheTimeout = CacheMax;
        options.ThrowDnsErrors = false;
        _client = new LookupClient(options);
    }

    public async ValueTask<DnsAnswer<MailExchanger>> FindMailExchangersAsync(string domain, CancellationToken token)
    {
        var (status, detail, answers) = await AskAsync(domain, QueryType.MX, token);
        var exchangers = answers.OfType<MxRecord>()
            .Select(record => new MailExchanger(record.Preference, record.Exchange.Value.TrimEnd('.')))
            .ToList();
        return new(status == DnsStatus.Found && exchangers.Count == 0 ? DnsStatus.NoData : status, exchangers, detail);
    }

    public async ValueTask<DnsAnswer<IPAddress>> FindAddressesAsync(string host, CancellationToken token)
    {
        var six = AskAsync(host, QueryType.AAAA, token);
        var four = await AskAsync(host, QueryType.A, token);
        var (sixStatus, sixDetail, sixAnswers) = await six;
        List<IPAddress> addresses =
        [
            .. sixAnswers.OfType<AaaaRecord>().Select(record => record.Address),
            .. four.Answers.OfType<ARecord>().Select(record => record.Address),
        ];
        if (addresses.Count > 0)
        {
            return new(DnsStatus.Found, addresses);
        }

        if (sixStatus == DnsStatus.Failed || four.Status == DnsStatus.Failed)
        {
            return new(DnsStatus.Failed, [], four.Status == DnsStatus.Failed ? four.Detail : sixDetail);
        }

        return new(four.Status == DnsStatus.NoSuchName ? DnsStatus.NoSuchName : DnsStatus.NoData, []);
    }

    public async ValueTask<DnsAnswer<IPAddress>> FindNamedHostAsync(string host, CancellationToken token)
    {
        try
        {
            var addresses = await System.Net.Dns.GetHostAddressesAsync(host, token);
            return addresses.Length > 0 ? new(DnsStatus.Found, addresses) : new(DnsStatus.NoData, []);
        }
        catch (SocketException error)
        {
            // A route's host is the operator's word: that it is unknown now does not make mail undeliverable.
            return new(DnsStatus.Failed, [], error.Message);
        }
    }

    private static IPEndPoint ParseServer(string text) =>
        IPAddress.TryParse(text, out var address) ? new IPEndPoint(address, Port) : IPEndPoint.Parse(text);

    private async Task<(DnsStatus Status, string Detail, IReadOnlyList<DnsResourceRecord> Answers)> AskAsync(
        string name, QueryType type, CancellationToken token)
    {
        try
        {
            var response = await _client.QueryAsync(name, type, cancellationToken: token);
            return response.Header.ResponseCode switch
            {
                DnsHeaderResponseCode.NoError =>
                    (response.Answers.Count > 0 ? DnsStatus.Found : DnsStatus.NoData, "", response.Answers),
                DnsHeaderResponseCode.NotExistentDomain => (DnsStatus.NoSuchName, "", []),
                var code => (DnsStatus.Failed, $"{type} of {name}: {code}", []),
            };
        }
        catch (Exception error) when (error is DnsResponseException or SocketException or ArgumentException)
        {
            return (DnsStatus.Failed, $"{type} of {name}: {error.Message}", []);
        }
        catch (OperationCanceledException) when (!token.IsCancellationRequested)
        {
            return (DnsStatus.Failed, $"{type} of {name}: timed out", []);
        }
    }
}
