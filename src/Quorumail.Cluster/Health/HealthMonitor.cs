using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Health;

/// <summary>
/// Sends this node's heartbeats, asks the peers whether they are there, and keeps what it hears of them. Status follows
/// from frames of the guide's type 1 and these questions alone; consensus has its own, faster signs of life.
/// </summary>
internal sealed partial class HealthMonitor : IAsyncDisposable
{
    private const int PingsPerHeartbeat = 5;

    private readonly HealthLimits _limits;
    private readonly ITransport _transport;
    private readonly string _nodeId;
    private readonly Func<OwnState> _own;
    private readonly Func<StateClaim, bool?> _confirms;
    private readonly INodeLoad _load;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly HealthBoard _board;
    private readonly ProcessLoad _process;
    private readonly ConcurrentDictionary<string, NodeStatus> _known = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, bool> _asked = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stop = new();
    private readonly long _startedAt;
    private Task _running = Task.CompletedTask;
    private NodeStatus? _sent;

    public HealthMonitor(
        HealthLimits limits, ITransport transport, string nodeId, Func<OwnState> own, Func<StateClaim, bool?> confirms, INodeLoad load, TimeProvider time, ILogger logger)
    {
        _limits = limits;
        _transport = transport;
        _nodeId = nodeId;
        _own = own;
        _confirms = confirms;
        _load = load;
        _time = time;
        _logger = logger;
        _board = new HealthBoard(limits);
        _process = new ProcessLoad(time, limits.LoadWarning);
        _startedAt = time.GetTimestamp();
    }

    /// <summary>Time since this node started.</summary>
    public TimeSpan Uptime => _time.GetElapsedTime(_startedAt);

    /// <summary>Begins to send; what comes in may come earlier.</summary>
    public void Start() => _running = RunAsync();

    /// <summary>This node's latest own figures, as its heartbeats tell them.</summary>
    public Heartbeat Own() => NewHeartbeat();

    /// <summary>How another node is now.</summary>
    /// <param name="nodeId">Which.</param>
    /// <param name="lag">Entries that it lags behind, if this node leads.</param>
    public PeerHealth Of(string nodeId, long? lag)
    {
        lock (_lock)
        {
            return _board.Of(nodeId, lag, Uptime);
        }
    }

    /// <summary>Whether this node's disk is nearly full, or that of one that lives.</summary>
    public bool IsAnyShortOfSpace
    {
        get
        {
            if (_load.IsShortOfSpace)
            {
                return true;
            }

            lock (_lock)
            {
                return _board.IsAnyShortOfSpace(Uptime);
            }
        }
    }

    public void Connected(NodeHello peer)
    {
        lock (_lock)
        {
            _board.Connected(peer.NodeId, Uptime);
        }

        // At once, so that a node that comes back is known as healthy without waiting for the next heartbeat.
        Send([peer.NodeId]);
    }

    public void Disconnected(NodeHello peer, bool isRefused)
    {
        lock (_lock)
        {
            _board.Disconnected(peer.NodeId, isRefused);
        }
    }

    /// <summary>Takes a heartbeat; one in another's name is not believed.</summary>
    public void Received(NodeHello peer, ReadOnlySpan<byte> body)
    {
        if (Heartbeat.Read(body) is { } heartbeat && string.Equals(heartbeat.NodeId, peer.NodeId, StringComparison.Ordinal))
        {
            bool isDifferent = heartbeat.Condition?.State is { } claim && _confirms(claim) == false;
            bool isNews;
            lock (_lock)
            {
                _board.Heard(heartbeat, Uptime);
                isNews = isDifferent && _board.Differs(heartbeat.NodeId);
            }

            if (isNews)
            {
                LogDiffers(_logger, heartbeat.NodeId, heartbeat.Condition!.State!.Value.UpTo);
            }
        }
    }

    /// <summary>Forgets a node that has left the cluster.</summary>
    public void Forget(string nodeId)
    {
        _known.TryRemove(nodeId, out _);
        lock (_lock)
        {
            _board.Forget(nodeId);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        using PeriodicTimer timer = new(_limits.PingInterval, _time);
        try
        {
            for (long tick = 0; ; tick++)
            {
                if (tick % PingsPerHeartbeat == 0)
                {
                    lock (_lock)
                    {
                        _process.Sample();
                    }

                    SendToAll();
                }
                else if (NewHeartbeat().Condition?.Status != _sent)
                {
                    // The others should not take this node for what it was for a whole interval.
                    SendToAll();
                }

                foreach (NodeHello peer in _transport.Peers)
                {
                    _ = AskAsync(peer.NodeId);
                }

                TellChanges();
                await timer.WaitForNextTickAsync(_stop.Token);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Told to end.
        }
    }

    private async Task AskAsync(string nodeId)
    {
        if (!_asked.TryAdd(nodeId, true))
        {
            return; // The last question still waits for its answer.
        }

        try
        {
            using CancellationTokenSource bound = new(_limits.HeartbeatTimeout, _time);
            using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(bound.Token, _stop.Token);
            long began = _time.GetTimestamp();
            await _transport.AskAsync(nodeId, FrameType.Ping, default, linked.Token);
            TimeSpan roundTrip = _time.GetElapsedTime(began);
            lock (_lock)
            {
                _board.Answered(nodeId, roundTrip, Uptime);
            }
        }
        catch (Exception silence) when (silence is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // No answer is no sign of life; the board counts the time.
        }
        finally
        {
            _asked.TryRemove(nodeId, out _);
        }
    }

    private void SendToAll()
    {
        _sent = NewHeartbeat().Condition?.Status;
        Send([.. _transport.Peers.Select(peer => peer.NodeId)]);
    }

    private void Send(IReadOnlyCollection<string> peers)
    {
        if (peers.Count == 0)
        {
            return;
        }

        ArrayBufferWriter<byte> body = new(512);
        NewHeartbeat().Write(body);
        foreach (string peer in peers)
        {
            _transport.TrySend(peer, FrameType.Heartbeat, body.WrittenMemory);
        }
    }

    private Heartbeat NewHeartbeat()
    {
        double processor;
        bool isOverloaded;
        lock (_lock)
        {
            processor = _process.CpuPercent;
            isOverloaded = _process.IsOverloaded;
        }

        OwnState own = _own();
        string version = _load.Version;
        HeartbeatMetadata metadata = new(
            version.StartsWith('v') ? version : "v" + version,
            (long)Uptime.TotalSeconds,
            _load.ActiveConnections,
            _load.MessagesProcessed,
            processor,
            ProcessLoad.ResidentMebibytes);
        return new Heartbeat(_nodeId, own.Role, _time.GetUtcNow().ToUnixTimeSeconds(), metadata)
        {
            Condition = OwnHealth.Judge(own, _load, isOverloaded, _limits),
        };
    }

    private void TellChanges()
    {
        foreach (NodeHello peer in _transport.Peers)
        {
            _known.TryAdd(peer.NodeId, NodeStatus.Disconnected);
        }

        foreach ((string nodeId, NodeStatus before) in _known)
        {
            PeerHealth health = Of(nodeId, lag: null);
            if (health.Status != before && _known.TryUpdate(nodeId, health.Status, before))
            {
                LogStatus(_logger, nodeId, health.Status, before, health.Reason);
            }
        }
    }

    [LoggerMessage(LogLevel.Error, "node {NodeId} has another state than this node: the log up to entry {Index} had other results there. The node that all others say this of is the wrong one: stop it, empty its data directory, and start it again. Please report it, with the logs of all nodes.")]
    private static partial void LogDiffers(ILogger logger, string nodeId, long index);

    [LoggerMessage(LogLevel.Information, "node {NodeId} is {Status} (was {Before}) {Reason}")]
    private static partial void LogStatus(ILogger logger, string nodeId, NodeStatus status, NodeStatus before, string reason);
}
