using System.Net;
using DnsClient;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>How nodes find one another without a list.</summary>
public sealed record DiscoveryOptions
{
    private const int DnsPort = 53;

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

    /// <summary>The same, asking these name servers instead of the system's.</summary>
    /// <param name="servers">At least one; without a port, 53.</param>
    public DiscoveryOptions Asking(IReadOnlyCollection<IPEndPoint> servers)
    {
        IPEndPoint[] asked = [.. servers.Select(server => server.Port == 0 ? new IPEndPoint(server.Address, DnsPort) : server)];
        return this with
        {
            Resolve = (name, token) => QueryAddressesAsync(NewClient(new LookupClientOptions(asked)), name, token),
            ResolveService = (name, token) => QueryServiceAsync(NewClient(new LookupClientOptions(asked)), name, token),
        };
    }

    private static Task<IReadOnlyList<PeerAddress>> QueryServiceAsync(string name, CancellationToken token) =>
        QueryServiceAsync(NewClient(new LookupClientOptions()), name, token);

    private static async Task<IReadOnlyList<PeerAddress>> QueryServiceAsync(LookupClient client, string name, CancellationToken token)
    {
        var answer = await client.QueryAsync(name, QueryType.SRV, QueryClass.IN, token);
        return [.. answer.Answers.SrvRecords().Select(record => new PeerAddress(record.Target.Value.TrimEnd('.'), record.Port))];
    }

    // One family without an answer is no reason to forget the other.
    private static async Task<IPAddress[]> QueryAddressesAsync(LookupClient client, string name, CancellationToken token)
    {
        var four = await client.QueryAsync(name, QueryType.A, QueryClass.IN, token);
        var six = await client.QueryAsync(name, QueryType.AAAA, QueryClass.IN, token);
        return [.. four.Answers.ARecords().Select(record => record.Address), .. six.Answers.AaaaRecords().Select(record => record.Address)];
    }

    // Asked anew each time: whoever asks waits for a change.
    private static LookupClient NewClient(LookupClientOptions options)
    {
        options.UseCache = false;
        return new LookupClient(options);
    }
}
