using System.Net;
using DnsClient;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>How nodes find one another without a list.</summary>
public sealed record DiscoveryOptions
{
    /// <summary>
    /// A DNS name: of a headless service, whose addresses (A, AAAA) are the nodes'; or, when it begins with an underscore,
    /// of a service (SRV, RFC 2782), whose targets and ports are.
    /// </summary>
    public string Name { get; init; } = "smtp-cluster";

    /// <summary>The port at each address; SRV brings its own.</summary>
    public int Port { get; init; } = PeerAddress.DefaultPort;

    /// <summary>Pause between two questions.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long an answer may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Finds the addresses of a name; the system's resolver by default.</summary>
    public Func<string, CancellationToken, Task<IPAddress[]>> Resolve { get; init; } = Dns.GetHostAddressesAsync;

    /// <summary>Finds the targets of a service; asks the system's name servers by default.</summary>
    public Func<string, CancellationToken, Task<IReadOnlyList<PeerAddress>>> ResolveService { get; init; } = QueryServiceAsync;

    private static async Task<IReadOnlyList<PeerAddress>> QueryServiceAsync(string name, CancellationToken token)
    {
        var client = new LookupClient(new LookupClientOptions { UseCache = false });
        var answer = await client.QueryAsync(name, QueryType.SRV, QueryClass.IN, token);
        return [.. answer.Answers.SrvRecords().Select(record => new PeerAddress(record.Target.Value.TrimEnd('.'), record.Port))];
    }
}
