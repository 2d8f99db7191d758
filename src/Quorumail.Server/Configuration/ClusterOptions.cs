using System.Net;

namespace Quorumail.Server.Configuration;

/// <summary><c>[cluster]</c>: the other nodes. They share one queue: each takes mail, and if one dies the others deliver what it had.</summary>
public sealed record ClusterOptions
{
    /// <summary>Whether this node is one of several.</summary>
    public bool Enabled { get; init; }

    /// <summary>
    /// This node's name in the cluster, up to 255 letters, digits, dots, hyphens and underscores. Empty: the machine's
    /// name; a lone node calls itself by the name its data directory was made with.
    /// </summary>
    public string NodeId { get; init; } = "";

    /// <summary>Address of the cluster port.</summary>
    [ConfigKey(IsRequired = true)]
    public IPAddress BindAddress { get; init; } = IPAddress.Any;

    /// <summary>The cluster port.</summary>
    [ConfigKey(Minimum = 0, Maximum = 65535)]
    public int BindPort { get; init; } = 9000;

    /// <summary><c>host:port</c> at which the others reach this node. Empty: they go by their own lists.</summary>
    public string AdvertiseAddress { get; init; } = "";

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

    /// <summary>Whether nodes find one another without a list: by <see cref="DiscoveryName"/>.</summary>
    [ConfigKey(Environment = "SMTP_CLUSTER_AUTO_DISCOVERY")]
    public bool EnableAutoDiscovery { get; init; }

    /// <summary>
    /// The DNS name whose addresses are the nodes' (a headless service); one that begins with an underscore is asked for
    /// SRV records, whose targets and ports are.
    /// </summary>
    [ConfigKey(IsRequired = true)]
    public string DiscoveryName { get; init; } = "smtp-cluster";

    /// <summary>DNS servers to ask for <see cref="DiscoveryName"/>, <c>address</c> or <c>address:port</c>. Empty: those of the system.</summary>
    public IReadOnlyList<string> DnsServers { get; init; } = [];

    /// <summary>
    /// Whether this node founds a cluster, if there is none, without the listed nodes that it can't reach. For one node,
    /// once; a disk that belongs to a cluster is not concerned.
    /// </summary>
    public bool Bootstrap { get; init; }

    /// <summary>
    /// Whether nodes prove a token to one another. Empty: yes if there is one. It must be on, or off be said, unless all
    /// nodes are on this machine.
    /// </summary>
    public bool? AuthEnabled { get; init; }

    /// <summary>The token that all nodes hold; it is never sent. At least 16 characters.</summary>
    [ConfigKey(IsSecret = true)]
    public string AuthToken { get; init; } = "";

    /// <summary>A second token that is valid as well, so that the token can be changed node by node.</summary>
    [ConfigKey(IsSecret = true)]
    public string AuthTokenPrevious { get; init; } = "";

    /// <summary>Whether nodes speak TLS to one another; all do or none.</summary>
    public bool TlsEnabled { get; init; }

    /// <summary>PEM file of the certificate, shown when listening and when dialling. Read again when it changes.</summary>
    public string TlsCert { get; init; } = "";

    /// <summary>PEM file of the private key.</summary>
    public string TlsKey { get; init; } = "";

    /// <summary>PEM file of the authorities that the nodes' certificates come from. Empty: all nodes have the same certificate.</summary>
    public string TlsCa { get; init; } = "";

    /// <summary>Updates of shared state that wait for their commit at once; further ones wait for their turn.</summary>
    [ConfigKey(Minimum = 1, Maximum = 10_000_000)]
    public int ReplicationBufferSize { get; init; } = 10_000;

    /// <summary>Commands that share an entry of the log at most.</summary>
    [ConfigKey(Minimum = 1, Maximum = 100_000)]
    public int ReplicationBatchSize { get; init; } = 1024;

    /// <summary>Milliseconds to wait for more commands before an entry is written; 0: what has gathered goes at once.</summary>
    [ConfigKey(Minimum = 0, Maximum = 1000)]
    public int ReplicationBatchIntervalMs { get; init; }

    /// <summary>Milliseconds of the leader's silence towards its followers at most; 0: a twentieth of <see cref="HeartbeatIntervalMs"/>.</summary>
    [ConfigKey(Minimum = 0, Maximum = 600_000)]
    public int ConsensusHeartbeatMs { get; init; }

    /// <summary>Milliseconds that a follower waits for its leader at least; 0: a tenth of <see cref="LeaderElectionTimeoutMs"/>.</summary>
    [ConfigKey(Minimum = 0, Maximum = 3_600_000)]
    public int ConsensusElectionMinMs { get; init; }

    /// <summary>Milliseconds that a follower waits for its leader at most; 0: twice the least.</summary>
    [ConfigKey(Minimum = 0, Maximum = 3_600_000)]
    public int ConsensusElectionMaxMs { get; init; }

    /// <summary>
    /// Disks on which a message must be before its 250; 0: a majority of the members. Fewer is faster, and loses acknowledged
    /// mail if that many disks are lost at once.
    /// </summary>
    [ConfigKey(Minimum = 0, Maximum = 7)]
    public int MinCopies { get; init; }

    /// <summary>Silence towards the leader after which a node's messages go to the others.</summary>
    [ConfigKey(Minimum = 1, Maximum = 600)]
    public TimeSpan OwnerLease { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>How long the result of a delivery that a lost node had under way is waited for, before the recipient is tried again and listed.</summary>
    [ConfigKey(Minimum = 0, Maximum = 86_400)]
    public TimeSpan InDoubtWait { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The name to go by.</summary>
    internal string EffectiveNodeId => NodeId.Length > 0 ? NodeId : Environment.MachineName;

    /// <summary>Whether nodes prove a token.</summary>
    internal bool IsAuthenticating => AuthEnabled ?? AuthToken.Length > 0;

    /// <summary>Without the secrets that a record would print.</summary>
    public override string ToString() => $"[cluster] of {EffectiveNodeId}";
}
