using System.Net;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.Transport;

namespace Quorumail.Server.Configuration;

/// <summary>What <c>[cluster]</c> means to the parts of the cluster.</summary>
internal static class ClusterSettings
{
    /// <summary>The consensus timers: the keys of their own, or what follows from the guide's.</summary>
    public static ClusterTimers Timers(ClusterOptions cluster)
    {
        var derived = ClusterTimers.From(TimeSpan.FromMilliseconds(cluster.HeartbeatIntervalMs), TimeSpan.FromMilliseconds(cluster.LeaderElectionTimeoutMs));
        var lower = Chosen(cluster.ConsensusElectionMinMs) ?? derived.ElectionLower;
        var upper = Chosen(cluster.ConsensusElectionMaxMs) ?? (cluster.ConsensusElectionMinMs > 0 ? 2 * lower : derived.ElectionUpper);
        var heartbeat = Chosen(cluster.ConsensusHeartbeatMs) ?? (derived.Heartbeat < lower / 3 ? derived.Heartbeat : lower / 3);
        return new ClusterTimers(heartbeat, lower, upper);
    }

    /// <summary>The cluster port.</summary>
    /// <param name="cluster">Checked before.</param>
    /// <param name="time">Spaces the looks at certificates.</param>
    /// <param name="log">Told of changed certificates.</param>
    /// <exception cref="IOException">A PEM file can't be used any more.</exception>
    public static PortOptions Port(ClusterOptions cluster, TimeProvider time, ILogger log) => new()
    {
        BindAddress = cluster.BindAddress,
        BindPort = cluster.BindPort,
        Tokens = !cluster.IsAuthenticating ? [] : cluster.AuthTokenPrevious.Length > 0 ? [cluster.AuthToken, cluster.AuthTokenPrevious] : [cluster.AuthToken],
        Certificate = cluster.TlsEnabled ? new PortCertificate(cluster.TlsCert, cluster.TlsKey, cluster.TlsCa, time, log) : null,
    };

    /// <summary>How nodes are found, if not only listed ones count.</summary>
    public static DiscoveryOptions Discovery(ClusterOptions cluster)
    {
        var discovery = new DiscoveryOptions { Name = cluster.DiscoveryName, Port = cluster.BindPort };
        return cluster.DnsServers.Count == 0 ? discovery : discovery.Asking([.. cluster.DnsServers.Select(IPEndPoint.Parse)]);
    }

    private static TimeSpan? Chosen(int milliseconds) => milliseconds > 0 ? TimeSpan.FromMilliseconds(milliseconds) : null;
}
