using System.Globalization;
using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Server.Configuration;

/// <summary>Judges <c>[cluster]</c>. Names and numbers are always checked; who may speak on port 9000 only if there is one.</summary>
internal sealed class ClusterValidator(ClusterOptions cluster, Action<string, string?, string, string> report, List<string> warnings)
{
    private const int TokenMin = 16;

    /// <summary>Reports everything that is wrong.</summary>
    public void Validate()
    {
        CheckAddresses();
        CheckTimers();
        if (cluster.Enabled)
        {
            CheckName();
            CheckAuthentication();
            CheckTls();
            if (cluster.Bootstrap)
            {
                warnings.Add("cluster.bootstrap = true: with an empty disk, this node founds a cluster without the listed nodes that it can't reach; say so on one node, once, and take it out of the configuration then");
            }
        }
    }

    private void CheckName()
    {
        if (!NodeName.IsValid(cluster.EffectiveNodeId))
        {
            report("cluster.node_id", cluster.EffectiveNodeId, "is no name for a node", "Use up to 255 letters, digits, dots, hyphens and underscores.");
        }
    }

    private void CheckAddresses()
    {
        foreach (var peer in cluster.Peers)
        {
            CheckAddress("cluster.peers", peer);
        }

        if (cluster.AdvertiseAddress.Length > 0)
        {
            CheckAddress("cluster.advertise_address", cluster.AdvertiseAddress);
        }

        foreach (var server in cluster.DnsServers.Where(server => !IPEndPoint.TryParse(server, out _)))
        {
            report("cluster.dns_servers", server, "is not valid", "It must be an address or address:port, such as \"9.9.9.9\" or \"[2620:fe::fe]:53\".");
        }
    }

    private void CheckAddress(string key, string text)
    {
        if (!PeerAddress.TryParse(text, out _, out var problem))
        {
            report(key, text, $"is not valid: {problem![(problem!.IndexOf("\": ", StringComparison.Ordinal) + 3)..]}", "It must be host:port, such as \"node2:9000\" or \"[2001:db8::2]:9000\".");
        }
    }

    private void CheckTimers()
    {
        if (cluster.HeartbeatTimeoutMs <= cluster.HeartbeatIntervalMs)
        {
            report("cluster.heartbeat_timeout_ms", Text(cluster.HeartbeatTimeoutMs), "is not above heartbeat_interval_ms", "Give it three intervals.");
        }
        else if (cluster.HeartbeatTimeoutMs < 2 * cluster.HeartbeatIntervalMs)
        {
            warnings.Add($"cluster.heartbeat_timeout_ms = {Text(cluster.HeartbeatTimeoutMs)} is less than two intervals: one lost heartbeat makes a node disconnected");
        }

        if (ClusterSettings.Timers(cluster).Problem() is { } problem)
        {
            report(
                cluster.ConsensusElectionMinMs > 0 ? "cluster.consensus_election_min_ms" : cluster.ConsensusHeartbeatMs > 0 ? "cluster.consensus_heartbeat_ms" : "cluster.consensus_election_max_ms",
                null,
                $"gives timers that can't work: {problem.TrimEnd('.')}",
                "Leave the consensus timers out, and they follow from heartbeat_interval_ms and leader_election_timeout_ms.");
        }
    }

    private void CheckAuthentication()
    {
        if (cluster.AuthEnabled == true && cluster.AuthToken.Length == 0)
        {
            report("cluster.auth_token", null, "is missing while auth_enabled is on", "Give every node the same one: head -c 24 /dev/urandom | base64.");
        }

        CheckToken("cluster.auth_token", cluster.AuthToken);
        CheckToken("cluster.auth_token_previous", cluster.AuthTokenPrevious);
        if (cluster.AuthTokenPrevious.Length > 0 && cluster.AuthToken.Length == 0)
        {
            report("cluster.auth_token_previous", "********", "stands without auth_token", "The token in use is auth_token; the previous one is only valid as well.");
        }

        if (cluster.IsAuthenticating || IsLocal())
        {
            return;
        }

        if (cluster.AuthEnabled is null)
        {
            report(
                "cluster.auth_enabled",
                null,
                "is not said, and the cluster port can be reached from other machines: it takes mail and votes",
                "Set auth_enabled = true and the same auth_token on every node (SMTP_CLUSTER_AUTH_ENABLED, SMTP_CLUSTER_AUTH_TOKEN), or say auth_enabled = false.");
        }
        else
        {
            warnings.Add("cluster.auth_enabled = false: whoever reaches the cluster port can send mail, read it and take part in elections");
        }
    }

    private void CheckToken(string key, string token)
    {
        if (token.Length is > 0 and < TokenMin)
        {
            report(key, "********", $"is shorter than {Text(TokenMin)} characters", "Make one: head -c 24 /dev/urandom | base64.");
        }
    }

    private void CheckTls()
    {
        if (!cluster.TlsEnabled)
        {
            if (cluster.TlsCert.Length > 0)
            {
                warnings.Add("cluster.tls_cert is set and tls_enabled is not: nodes speak to one another in plain text");
            }
            else if (cluster.IsAuthenticating && !IsLocal())
            {
                warnings.Add("cluster.tls_enabled = false: nodes prove their token, but what they say is neither encrypted nor protected; keep the cluster port in a network of its own");
            }

            return;
        }

        if (cluster.TlsCert.Length == 0 || cluster.TlsKey.Length == 0)
        {
            report(cluster.TlsCert.Length == 0 ? "cluster.tls_cert" : "cluster.tls_key", null, "is missing while tls_enabled is on", "TLS between nodes needs both tls_cert and tls_key.");
            return;
        }

        try
        {
            _ = new PortCertificate(cluster.TlsCert, cluster.TlsKey, cluster.TlsCa, TimeProvider.System, NullLogger.Instance);
        }
        catch (IOException failure)
        {
            var (key, path) = new[] { ("tls_ca", cluster.TlsCa), ("tls_key", cluster.TlsKey), ("tls_cert", cluster.TlsCert) }
                .FirstOrDefault(file => file.Item2.Length > 0 && failure.Message.Contains(file.Item2, StringComparison.Ordinal), ("tls_cert", cluster.TlsCert));
            report($"cluster.{key}", path, $"can't be used: {failure.Message.TrimEnd('.')}", "Name PEM files that the server may read: a certificate, its unencrypted key, and the authorities.");
        }
    }

    /// <summary>Whether only this machine's processes can be peers.</summary>
    private bool IsLocal() => !cluster.EnableAutoDiscovery && IPAddress.IsLoopback(cluster.BindAddress) && cluster.Peers.All(IsLocal);

    private static bool IsLocal(string peer) =>
        PeerAddress.TryParse(peer, out var address, out _)
        && (string.Equals(address!.Host, "localhost", StringComparison.OrdinalIgnoreCase) || (IPAddress.TryParse(address.Host, out var parsed) && IPAddress.IsLoopback(parsed)));

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
