using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Health;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.State;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster;

/// <summary>
/// A node of a cluster: elects a leader with its peers, shares state with them and knows how they are. Needs a directory
/// and a TCP port, nothing else. Safe for concurrent use.
/// </summary>
/// <example>
/// <code>
/// await using ClusterManager cluster = new(new ClusterConfig { NodeId = "node1", Peers = ["node2:9000", "node3:9000"], Tokens = [token] });
/// await cluster.StartAsync();
/// await cluster.WaitUntilReadyAsync();
/// await cluster.StateStore.SetAsync("rate_limit_192.168.1.100", "45");
/// </code>
/// </example>
public sealed partial class ClusterManager : IAsyncDisposable
{
    private static readonly TimeSpan ReadyPause = TimeSpan.FromMilliseconds(20);

    private readonly ClusterConfig _config;
    private readonly ClusterHost _host;
    private readonly INodeLoad _load;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly ITransport _transport;
    private readonly PortTransport? _port;
    private readonly LivePeers _peers;
    private readonly ReplicationCounters _counters = new();
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private Parts? _parts;
    private Task? _starting;
    private Task _running = Task.CompletedTask;
    private Task _discovering = Task.CompletedTask;
    private string? _phase = "starting";
    private long _elections;
    private long _electedTerm;
    private bool _isDisposed;

    /// <summary>Checks the configuration; opens nothing yet.</summary>
    /// <param name="config">How this node takes part.</param>
    /// <param name="host">What the program around brings along; null for nothing.</param>
    /// <param name="loggers">Told what an operator should know; null for nobody.</param>
    /// <param name="time">The clock; null for the system's.</param>
    /// <exception cref="ClusterConfigException">The configuration can't be used.</exception>
    public ClusterManager(ClusterConfig config, ClusterHost? host = null, ILoggerFactory? loggers = null, TimeProvider? time = null)
        : this(config, host, loggers, time, null)
    {
    }

    internal ClusterManager(ClusterConfig config, ClusterHost? host, ILoggerFactory? loggers, TimeProvider? time, ITransport? transport)
    {
        ArgumentNullException.ThrowIfNull(config);
        if (config.Problems() is { Count: > 0 } problems)
        {
            throw new ClusterConfigException(problems);
        }

        _config = config;
        _host = host ?? new ClusterHost();
        _load = _host.Load ?? new NoApplication();
        _time = time ?? TimeProvider.System;
        _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("cluster");
        _peers = new LivePeers(config.Peers);
        _port = transport is null ? new PortTransport(PortOf(config), _time, _logger) : null;
        _transport = transport ?? _port!;
    }

    /// <summary>
    /// Told of each change of this node's role or of the leader, one at a time, in order; must not block. The term is a fencing
    /// token: it rises with every leader, so whoever guards a resource refuses terms below the highest that it has seen.
    /// </summary>
    public event EventHandler<RoleChange>? RoleChanged;

    /// <summary>This node's name.</summary>
    public string NodeId => _config.NodeId;

    /// <summary>This node, as its heartbeats tell it: <c>LocalNode.Role</c> says whether it leads.</summary>
    public ClusterNodeView LocalNode => LocalView(Members().FirstOrDefault(IsLocal), Node?.CommitIndex ?? 0);

    /// <summary>All nodes of the cluster, this one among them, ordered by name.</summary>
    public IReadOnlyList<ClusterNodeView> Nodes => NodeViews();

    /// <summary>Keys and values that all nodes share.</summary>
    /// <exception cref="InvalidOperationException">The manager has not been started.</exception>
    public StateStore StateStore => (_parts ?? throw NotStarted()).Store;

    /// <summary>The log, for commands of <see cref="ClusterHost.Application"/>.</summary>
    /// <exception cref="InvalidOperationException">The manager has not been started.</exception>
    public IReplicatedLog Log => (_parts ?? throw NotStarted()).Node;

    /// <summary>The node behind <see cref="Log"/>; null before the start.</summary>
    public ClusterNode? Node => _parts?.Node;

    /// <summary>Who leads; null if nobody is known to.</summary>
    public string? LeaderId => Node?.LeaderId;

    /// <summary>The current term.</summary>
    public long Term => Node?.Term ?? 0;

    /// <summary>Whether a leader with a majority is known.</summary>
    public bool HasQuorum => Node?.LeaderId is not null;

    /// <summary>Whether writes can commit now: there is a quorum and this node has caught up.</summary>
    public bool IsReady => Obstacle is null;

    /// <summary>Why nothing can be promised yet, for an operator; null if it can.</summary>
    public string? Obstacle
    {
        get
        {
            if (_failed.Task.IsCompletedSuccessfully)
            {
                return "the cluster's log has failed";
            }

            if (_parts?.Node is not { } node)
            {
                return "starting";
            }

            return node.WaitingFor.Length > 0 ? node.WaitingFor
                : Volatile.Read(ref _phase) is { } phase ? phase
                : node.LeaderId is null ? "no quorum: no leader is known"
                : !node.IsReady ? "catching up with the leader"
                : null;
        }
    }

    /// <summary>Where this node listens; null before the start.</summary>
    public IPEndPoint? EndPoint => _port?.EndPoint;

    /// <summary>Elections that ended with a leader, as this node saw them since it started.</summary>
    public long LeaderElections => Interlocked.Read(ref _elections);

    /// <summary>What has happened lately, oldest first.</summary>
    public IReadOnlyList<ClusterEvent> Events => Node?.Events.All ?? [];

    /// <summary>Figures of the replication of shared state.</summary>
    public ReplicationStats Replication => _counters.Stats;

    /// <summary>Frames that went through the cluster port, by type.</summary>
    public IReadOnlyList<(FrameType Type, long Sent, long Received)> Frames => _port is not { } port ? [] :
        [.. Enum.GetValues<FrameType>().Select(type => (type, port.Counters.FramesSent(type), port.Counters.FramesReceived(type))).Where(count => count.Item2 + count.Item3 > 0)];

    /// <summary>Connections to the cluster port that were refused, by whichever side, by reason.</summary>
    public IReadOnlyList<(RefusalReason Reason, long Count)> RefusedHandshakes => _port is not { } port ? [] :
        [.. Enum.GetValues<RefusalReason>().Select(reason => (reason, port.Counters.Refused(reason))).Where(count => count.Item2 > 0)];

    /// <summary>Completes, with the reason, when this node can't go on (a failed disk, a disk that counts as wiped): dispose of it.</summary>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>
    /// Opens the data directory, listens on the cluster port and begins to take part; finding or founding the cluster goes on
    /// behind (<see cref="WaitUntilReadyAsync"/>). Calling it again waits for the same start; after one that failed, dispose of the
    /// manager and make another.
    /// </summary>
    /// <exception cref="IOException">The port is taken, or the directory can't be used.</exception>
    /// <exception cref="InvalidDataException">The state on the disk is damaged; the message says what to do.</exception>
    public Task StartAsync(CancellationToken token = default)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _starting is null ? _starting = StartOnceAsync(token) : _starting.WaitAsync(token);
        }
    }

    /// <summary>Waits until writes can commit.</summary>
    public async Task WaitUntilReadyAsync(CancellationToken token = default)
    {
        while (!IsReady)
        {
            if (_failed.Task.IsCompletedSuccessfully)
            {
                throw await _failed.Task;
            }

            await Task.Delay(ReadyPause, _time, token);
        }
    }

    /// <summary>The cluster in figures.</summary>
    public ClusterStats GetClusterStats()
    {
        ClusterNodeView[] members = [.. NodeViews().Where(node => node.IsVoter)];
        return new ClusterStats(
            members.Length,
            members.Count(node => node.Status is NodeStatus.Healthy or NodeStatus.Degraded),
            members.Count(node => node.Status == NodeStatus.Degraded),
            LeaderId);
    }

    /// <summary>Has a leader elected anew; for tests and operators. Returns when one of a later term is known.</summary>
    public Task StartLeaderElectionAsync(CancellationToken token = default) => Running().StartElectionAsync(token);

    /// <summary>Hands leadership over, from whoever leads; null: to any node that has caught up.</summary>
    /// <exception cref="InvalidOperationException">Nobody took over in time; the leader goes on.</exception>
    public Task TransferLeadershipAsync(string? target, CancellationToken token = default) => Running().TransferAsync(target, token);

    /// <summary>Dials a node that is to join, and returns when it is a member.</summary>
    /// <param name="address">host:port of its cluster port.</param>
    /// <param name="token">Ends the waiting.</param>
    public Task JoinAsync(string address, CancellationToken token = default) =>
        PeerAddress.TryParse(address, out _, out string? problem)
            ? Running().JoinAsync(address, token)
            : Task.FromException(new ArgumentException(problem, nameof(address)));

    /// <summary>Takes this node out of the cluster.</summary>
    public Task LeaveAsync(CancellationToken token = default) => Running().LeaveAsync(token);

    /// <summary>Takes a node out of the cluster, whether it runs or not.</summary>
    /// <exception cref="KeyNotFoundException">There is no such node.</exception>
    public async Task RemoveAsync(string nodeId, CancellationToken token = default)
    {
        ClusterNode node = Running();
        if (!node.Members.Any(member => string.Equals(member.NodeId, nodeId, StringComparison.Ordinal)))
        {
            throw new KeyNotFoundException($"no node {nodeId} in this cluster");
        }

        await node.RemoveAsync(nodeId, token);
        _parts?.Monitor.Forget(nodeId);
    }

    /// <summary>Leaves the peers to themselves, and closes log and port. What was acknowledged is on the disks.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (_isDisposed)
            {
                return;
            }

            _isDisposed = true;
        }

        await _stop.CancelAsync();
        await QuietlyAsync(_starting);
        await QuietlyAsync(_running);
        await QuietlyAsync(_discovering);
        if (Interlocked.Exchange(ref _parts, null) is { } parts)
        {
            await parts.DisposeAsync();
        }

        await _transport.DisposeAsync();
        _stop.Dispose();
    }

    private static PortOptions PortOf(ClusterConfig config) => new()
    {
        BindAddress = IPAddress.Parse(config.BindAddress),
        BindPort = config.BindPort,
        Tokens = config.Tokens,
        Certificate = config.Certificate,
    };

    private static InvalidOperationException NotStarted() => new("The cluster manager has not been started.");

    // What went wrong has been told to those who waited.
    private static async Task QuietlyAsync(Task? task)
    {
        if (task is not null)
        {
            await Task.WhenAny(task);
        }
    }

    private ClusterNode Running() => _parts?.Node ?? throw NotStarted();
}
