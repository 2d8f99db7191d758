using System.Net;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster;

/// <summary>
/// How a node takes part in a cluster. The first eight are the guide's, with its defaults; a node without peers and without
/// discovery is a cluster of one that others can join.
/// </summary>
public sealed record ClusterConfig
{
    /// <summary>Characters of a token at least.</summary>
    private const int TokenMin = 16;

    /// <summary>This node's name, unique in the cluster: up to 255 letters, digits, dots, hyphens and underscores. Default: the machine's.</summary>
    public string NodeId { get; init; } = Environment.MachineName;

    /// <summary>IPv4 or IPv6 address to listen on. Default: 0.0.0.0.</summary>
    public string BindAddress { get; init; } = "0.0.0.0";

    /// <summary>Port to listen on; 0 takes a free one. Default: 9000.</summary>
    public int BindPort { get; init; } = PeerAddress.DefaultPort;

    /// <summary>The other nodes, <c>host:port</c>; one's own address may be among them.</summary>
    public IReadOnlyList<string> Peers { get; init; } = [];

    /// <summary>Milliseconds between heartbeats. Default: 5000.</summary>
    public int HeartbeatIntervalMs { get; init; } = 5000;

    /// <summary>Milliseconds without a sign of life after which a node counts as disconnected. Default: 15000.</summary>
    public int HeartbeatTimeoutMs { get; init; } = 15_000;

    /// <summary>Milliseconds an election may take. Default: 10000.</summary>
    public int LeaderElectionTimeoutMs { get; init; } = 10_000;

    /// <summary>Whether nodes find one another by DNS (<see cref="Discovery"/>). Default: false.</summary>
    public bool EnableAutoDiscovery { get; init; }

    /// <summary>Directory of the log and the shared state; one node's alone. Default: ./data/cluster.</summary>
    public string DataDirectory { get; init; } = Path.Combine("data", "cluster");

    /// <summary><c>host:port</c> at which the others reach this node; empty: they go by their own lists.</summary>
    public string AdvertiseAddress { get; init; } = "";

    /// <summary>The token that all nodes hold, and if it is being changed the one before; at least 16 characters each.</summary>
    public IReadOnlyList<string> Tokens { get; init; } = [];

    /// <summary>Says that nodes need no token although others can reach the port. Needless while all nodes are on loopback.</summary>
    public bool AllowUnauthenticated { get; init; }

    /// <summary>TLS between the nodes; null for none.</summary>
    public PortCertificate? Certificate { get; init; }

    /// <summary>Which name to ask DNS for, if <see cref="EnableAutoDiscovery"/> is on.</summary>
    public DiscoveryOptions Discovery { get; init; } = new();

    /// <summary>Updates of shared state that wait for their commit at once; further callers wait for their turn. Default: 10000.</summary>
    public int ReplicationBufferSize { get; init; } = 10_000;

    /// <summary>Commands that share an entry of the log at most. Default: 1024.</summary>
    public int ReplicationBatchSize { get; init; } = 1024;

    /// <summary>Milliseconds to wait for more commands before an entry is written. Default: 0, what has gathered goes at once.</summary>
    public int ReplicationBatchIntervalMs { get; init; }

    /// <summary>Timers of consensus; null: derived from <see cref="HeartbeatIntervalMs"/> and <see cref="LeaderElectionTimeoutMs"/>.</summary>
    public ClusterTimers? Timers { get; init; }

    /// <summary>Founds a cluster without waiting for listed nodes that can't be reached. For one node, once.</summary>
    public bool Bootstrap { get; init; }

    /// <summary>Where the log is.</summary>
    internal string LogDirectory => Path.Combine(DataDirectory, "log");

    /// <summary>Where the shared state is.</summary>
    internal string StoreDirectory => Path.Combine(DataDirectory, "shared-state");

    /// <summary>The timers in force.</summary>
    internal ClusterTimers EffectiveTimers =>
        Timers ?? ClusterTimers.From(TimeSpan.FromMilliseconds(HeartbeatIntervalMs), TimeSpan.FromMilliseconds(LeaderElectionTimeoutMs));

    /// <summary>Everything that is wrong, each with what to do; empty if nothing is.</summary>
    public IReadOnlyList<string> Problems()
    {
        List<string> problems = [];
        if (!NodeName.IsValid(NodeId))
        {
            problems.Add($"{nameof(NodeId)} \"{NodeId}\" is no name for a node: use up to 255 letters, digits, dots, hyphens and underscores.");
        }

        if (!IPAddress.TryParse(BindAddress, out _))
        {
            problems.Add($"{nameof(BindAddress)} \"{BindAddress}\" is no address: write 0.0.0.0 for all, or one of this machine.");
        }

        if (BindPort is < 0 or > 65535)
        {
            problems.Add($"{nameof(BindPort)} {BindPort} is no port: use 0 to 65535.");
        }

        foreach (string address in AdvertiseAddress.Length > 0 ? [.. Peers, AdvertiseAddress] : Peers)
        {
            if (!PeerAddress.TryParse(address, out _, out string? problem))
            {
                problems.Add($"{problem}: write host:port.");
            }
        }

        CheckTimes(problems);
        CheckTokens(problems);
        if (ReplicationBufferSize < 1)
        {
            problems.Add($"{nameof(ReplicationBufferSize)} {ReplicationBufferSize} must be at least 1.");
        }

        if (ReplicationBatchSize < 1)
        {
            problems.Add($"{nameof(ReplicationBatchSize)} {ReplicationBatchSize} must be at least 1.");
        }

        if (ReplicationBatchIntervalMs is < 0 or > 1000)
        {
            problems.Add($"{nameof(ReplicationBatchIntervalMs)} {ReplicationBatchIntervalMs} must be 0 to 1000.");
        }

        return problems;
    }

    /// <summary>Without the tokens that a record would print.</summary>
    public override string ToString() => $"cluster node {NodeId} on {BindAddress}:{BindPort}";

    private void CheckTimes(List<string> problems)
    {
        if (HeartbeatIntervalMs < 10)
        {
            problems.Add($"{nameof(HeartbeatIntervalMs)} {HeartbeatIntervalMs} must be at least 10.");
        }
        else if (HeartbeatTimeoutMs <= HeartbeatIntervalMs)
        {
            problems.Add($"{nameof(HeartbeatTimeoutMs)} {HeartbeatTimeoutMs} must be above {nameof(HeartbeatIntervalMs)}: give it three intervals.");
        }

        if (LeaderElectionTimeoutMs < 10)
        {
            problems.Add($"{nameof(LeaderElectionTimeoutMs)} {LeaderElectionTimeoutMs} must be at least 10.");
        }
        else if (HeartbeatIntervalMs >= 10 && EffectiveTimers.Problem() is { } problem)
        {
            problems.Add(problem);
        }
    }

    private void CheckTokens(List<string> problems)
    {
        if (Tokens.Count > 2 || Tokens.Any(token => token.Length < TokenMin))
        {
            problems.Add($"{nameof(Tokens)}: at most two, of at least {TokenMin} characters each.");
        }

        if (Tokens.Count == 0 && !AllowUnauthenticated && !IsLocal())
        {
            problems.Add(
                $"{nameof(Tokens)} is empty, and the cluster port can be reached from other machines: give every node the same token, or set {nameof(AllowUnauthenticated)}.");
        }
    }

    private bool IsLocal() =>
        !EnableAutoDiscovery
        && IPAddress.TryParse(BindAddress, out IPAddress? bound) && IPAddress.IsLoopback(bound)
        && Peers.All(peer => PeerAddress.TryParse(peer, out PeerAddress? address, out _)
            && (string.Equals(address!.Host, "localhost", StringComparison.OrdinalIgnoreCase)
                || (IPAddress.TryParse(address.Host, out IPAddress? at) && IPAddress.IsLoopback(at))));
}
