using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Health;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.State;
using Quorumail.Cluster.Transport;

namespace Quorumail.Cluster;

/// <content>Putting the parts together, and what happens while the node runs.</content>
public sealed partial class ClusterManager
{
    private async Task StartOnceAsync(CancellationToken token)
    {
        await Task.Yield();
        Parts parts = await OpenAsync(token);
        _parts = parts;
        if (_config.EnableAutoDiscovery)
        {
            AddressDiscovery discovery = new(_config.Discovery, _config.Peers, _time, _logger);
            _discovering = discovery.RunAsync(_peers.Set, _stop.Token);
        }

        _running = RunAsync(parts);
        if (_port is { } port)
        {
            // The port is open, or why it is not is known.
            await Task.WhenAny(port.Listening, _running).WaitAsync(token);
        }

        if (_failed.Task.IsCompletedSuccessfully)
        {
            throw await _failed.Task;
        }
    }

    private async Task<Parts> OpenAsync(CancellationToken token)
    {
        StateStoreState state = await StateStoreState.OpenAsync(_config.StoreDirectory, _counters, null, token);
        ClusterTraffic traffic = new(_host.Service, _logger);
        HealthLimits limits = new()
        {
            HeartbeatInterval = TimeSpan.FromMilliseconds(_config.HeartbeatIntervalMs),
            HeartbeatTimeout = TimeSpan.FromMilliseconds(_config.HeartbeatTimeoutMs),
        };
        ClusterNode node = new(
            new ClusterNodeOptions
            {
                NodeId = _config.NodeId,
                Directory = _config.LogDirectory,
                Address = _config.AdvertiseAddress,
                Peers = _peers,
                Bootstrap = _config.Bootstrap,
                FeatureLevel = _host.FeatureLevel,
                Timers = _config.EffectiveTimers,
                MaxEntryCommands = _config.ReplicationBatchSize,
                EntryInterval = TimeSpan.FromMilliseconds(_config.ReplicationBatchIntervalMs),
                MaxWaitingCommands = Math.Max(50_000, 2 * _config.ReplicationBufferSize),
            },
            new ClusterNodeStates(_host.Application ?? new NoApplication(), state),
            _transport,
            traffic,
            _time,
            _logger,
            _host.Journal);
        HealthMonitor monitor = new(limits, _transport, _config.NodeId, () => OwnState(node), node.ConfirmsState, _load, _time, _logger);
        StateStore store = new(
            state, new ClusterNodeProposer(node), new StateStoreOptions { BufferSize = _config.ReplicationBufferSize }, _counters, _time);
        traffic.Monitor = monitor;
        traffic.Store = store;
        node.Events.Noted += happened => LogEvent(_logger, happened.Term, happened.Text);
        node.RoleChanged += RoleHasChanged;
        return new Parts(node, state, store, monitor, traffic);
    }

    private static OwnState OwnState(ClusterNode node) => new(node.Role, node.LeaderId, node.IsReady, node.CommitIndex, node.AppliedIndex, node.StateClaim);

    private async Task RunAsync(Parts parts)
    {
        try
        {
            await FindPeersAsync();
            parts.Monitor.Start();
            Volatile.Write(ref _phase, "joining the cluster");
            await parts.Node.StartAsync(_stop.Token);
            Volatile.Write(ref _phase, null);
            _ = ReportAsync(parts.Node.Failed);
        }
        catch (Exception problem) when (!_stop.IsCancellationRequested)
        {
            _failed.TrySetResult(problem);
        }
    }

    // A cluster is founded by those who are listed. With discovery nobody is, so a disk that has no cluster yet waits until
    // DNS has said the same for two questions: nodes that start together find one another before one founds.
    private async Task FindPeersAsync()
    {
        if (!_config.EnableAutoDiscovery || File.Exists(Path.Combine(_config.LogDirectory, "identity")))
        {
            return;
        }

        Volatile.Write(ref _phase, $"asking DNS for {_config.Discovery.Name}");
        string before = "";
        for (int same = 0; same < 2;)
        {
            await Task.Delay(_config.Discovery.Interval, _time, _stop.Token);
            string now = string.Join(' ', _peers.Order(StringComparer.Ordinal));
            same = now.Length > 0 && string.Equals(now, before, StringComparison.Ordinal) ? same + 1 : 0;
            before = now;
        }
    }

    private async Task ReportAsync(Task<Exception> failed) => _failed.TrySetResult(await failed);

    private void RoleHasChanged(RoleChange change)
    {
        // Changes come one at a time.
        if (change.LeaderId is not null && change.Term > _electedTerm)
        {
            _electedTerm = change.Term;
            Interlocked.Increment(ref _elections);
        }

        LogRole(_logger, change.Role, change.LeaderId ?? "nobody", change.Term);
        RoleChanged?.Invoke(this, change);
    }

    [LoggerMessage(LogLevel.Information, "cluster, term {Term}: {Text}")]
    private static partial void LogEvent(ILogger logger, long term, string text);

    [LoggerMessage(LogLevel.Information, "cluster: this node is {Role}, {LeaderId} leads, term {Term}")]
    private static partial void LogRole(ILogger logger, Core.Cluster.NodeRole role, string leaderId, long term);

    /// <summary>What runs once the node is started.</summary>
    private sealed record Parts(ClusterNode Node, StateStoreState State, StateStore Store, HealthMonitor Monitor, ClusterTraffic Traffic) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Monitor.DisposeAsync();
            await Store.DisposeAsync();
            await Node.DisposeAsync();
            await State.DisposeAsync();
        }
    }
}
