using System.Net;

namespace Quorumail.Server.Configuration;

/// <summary><c>[cluster]</c>: the other nodes. This version stands alone: <see cref="Enabled"/> is refused at start.</summary>
public sealed record ClusterOptions
{
    /// <summary>Whether this node is one of several.</summary>
    public bool Enabled { get; init; }

    /// <summary>This node's name in the cluster. Default: empty; a lone node calls itself by the name its data directory was made with.</summary>
    public string NodeId { get; init; } = "";

    /// <summary>Address of the cluster port.</summary>
    [ConfigKey(IsRequired = true)]
    public IPAddress BindAddress { get; init; } = IPAddress.Any;

    /// <summary>The cluster port.</summary>
    [ConfigKey(Minimum = 0, Maximum = 65535)]
    public int BindPort { get; init; } = 9000;

    /// <summary>The nodes, <c>host:port</c>; this node's own address may be among them.</summary>
    public IReadOnlyList<string> Peers { get; init; } = [];

    /// <summary>Milliseconds between heartbeats.</summary>
    [ConfigKey(Environment = "SMTP_CLUSTER_HEARTBEAT_INTERVAL", Minimum = 10, Maximum = 600_000)]
    public int HeartbeatIntervalMs { get; init; } = 5000;

    /// <summary>Milliseconds without a heartbeat after which a node counts as disconnected.</summary>
    [ConfigKey(Environment = "SMTP_CLUSTER_HEARTBEAT_TIMEOUT", Minimum = 10, Maximum = 3_600_000)]
    public int HeartbeatTimeoutMs { get; init; } = 15_000;

    /// <summary>Milliseconds an election may take.</summary>
    [ConfigKey(Environment = "SMTP_CLUSTER_ELECTION_TIMEOUT", Minimum = 10, Maximum = 3_600_000)]
    public int LeaderElectionTimeoutMs { get; init; } = 10_000;

    /// <summary>Whether nodes find one another without a list.</summary>
    [ConfigKey(Environment = "SMTP_CLUSTER_AUTO_DISCOVERY")]
    public bool EnableAutoDiscovery { get; init; }
}
