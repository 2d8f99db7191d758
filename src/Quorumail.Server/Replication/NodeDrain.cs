using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Cluster.Log;
using Quorumail.Core.Cluster;
using Quorumail.Core.Queue;
using Quorumail.Server.Http;
using Quorumail.Server.Queue;

namespace Quorumail.Server.Replication;

/// <summary>
/// Has nodes give up what depends on them: mail, messages, copies and leadership. That a node drains stands in the log; all
/// that follows is driven by it, on every node, so that it goes on when the one that was asked is gone.
/// </summary>
internal sealed partial class NodeDrain : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    /// <summary>Waiting of one request for the copies: less than an operator's request may take.</summary>
    private static readonly TimeSpan PartPatience = TimeSpan.FromSeconds(40);

    private readonly ClusterManager _manager;
    private readonly MailQueue _queue;
    private readonly ReplicatedQueue _state;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stop = new();
    private Task _running = Task.CompletedTask;

    public NodeDrain(ClusterManager manager, MailQueue queue, ReplicatedQueue state, TimeProvider time, ILogger log)
    {
        _manager = manager;
        _queue = queue;
        _state = state;
        _time = time;
        _log = log;
    }

    /// <summary>Begins to hand leadership over whenever this node drains and leads.</summary>
    public void Start() => _running = RunAsync(_stop.Token);

    /// <summary>Has a node drain.</summary>
    /// <exception cref="KeyNotFoundException">It is no member.</exception>
    /// <exception cref="InvalidOperationException">No other node could take over.</exception>
    /// <exception cref="IOException">That could not be committed.</exception>
    public async Task BeginAsync(string node, CancellationToken token)
    {
        if (IsUnknownToQueue(node))
        {
            return;
        }

        if (_state.Members is { } members && !members.Nodes.Any(other => other is { IsDown: false, IsDraining: false } && !IsNamed(other.Name, node)))
        {
            throw new InvalidOperationException($"no other node is up that could take over from {node}");
        }

        await ProposeAsync(new NodeDrainingCommand(node, IsDraining: true, IsVacating: true), token);
        LogDrains(_log, node);
    }

    /// <summary>Has a node take mail and messages again.</summary>
    /// <exception cref="KeyNotFoundException">It is no member.</exception>
    /// <exception cref="IOException">That could not be committed.</exception>
    public async Task CancelAsync(string node, CancellationToken token)
    {
        await ProposeAsync(new NodeDrainingCommand(node, IsDraining: false), token);
        LogDrainsNoMore(_log, node);
    }

    /// <summary>What depends on a node.</summary>
    /// <exception cref="KeyNotFoundException">It is no member.</exception>
    public DrainProgress Look(string node)
    {
        if (IsUnknownToQueue(node))
        {
            return new DrainProgress(node, IsDraining: true, _manager.LeaderId, null, 0, default, 0, null);
        }

        if (_state.Members is not { } members || members.Find(node) is not { } subject)
        {
            throw NoSuchNode(node);
        }

        var wanted = DiskDependence.WantedWithout(members, node);
        var disk = _state.DependenceOn(node);
        return new DrainProgress(
            node,
            subject.IsDraining,
            _manager.LeaderId,
            SessionsOf(node, subject),
            _state.CountOwnedBy(node),
            disk,
            wanted,
            StuckBy(members, subject, disk, wanted));
    }

    /// <summary>Drains a node that is to leave the cluster and waits until the queue no longer depends on it.</summary>
    /// <param name="node">A member.</param>
    /// <param name="force">Only says what is lost.</param>
    /// <param name="token">Ends the waiting.</param>
    /// <exception cref="InvalidOperationException">Something still depends on it; the message says what.</exception>
    public async Task PartAsync(string node, bool force, CancellationToken token)
    {
        if (_state.Members?.Find(node) is null)
        {
            // The cluster says whether there is such a node.
            return;
        }

        if (force)
        {
            var lost = Look(node);
            LogForced(_log, node, lost.Disk.Only, lost.Disk.TooFew, lost.Owned);
            return;
        }

        if (_manager.GetClusterStats().TotalNodes > 1)
        {
            await BeginAsync(node, token);
        }

        using PeriodicTimer timer = new(Interval, _time);
        var started = _time.GetTimestamp();
        while (Look(node) is { } progress && (progress.Owned > 0 || progress.Disk.TooFew > 0))
        {
            if (progress.Stuck is not null || _time.GetElapsedTime(started) > PartPatience)
            {
                throw new InvalidOperationException(
                    $"the queue depends on {node}: {string.Join("; ", progress.WaitsFor)}. {Describe(progress)}");
            }

            await timer.WaitForNextTickAsync(token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }

    private static string Describe(DrainProgress progress) =>
        (progress.Stuck is { } stuck ? $"No more copies can be made: {stuck}. " : "It goes on draining; ask again. ")
        + (progress.Disk.Only > 0
            ? $"By force {DrainProgress.Count(progress.Disk.Only, "message that is", "messages that are")} on no other disk would be lost"
            : "By force nothing would be lost, as long as the other disks are not");

    private static string? StuckBy(QueueMembers members, QueueNode subject, DiskDependence disk, int wanted)
    {
        if (disk.TooFew == 0)
        {
            return null;
        }

        if (subject.IsDown && disk.Only == disk.TooFew)
        {
            return $"{DrainProgress.Count(disk.Only, "message is", "messages are")} only on the disk of {subject.Name}, which is down";
        }

        var down = members.Nodes.Where(node => node.IsDown && !node.IsVacating && node != subject).Select(node => node.Name).ToList();
        var living = members.Nodes.Count(node => node is { IsDown: false, IsVacating: false } && node != subject);
        return living < wanted ? $"{string.Join(", ", down)} {(down.Count == 1 ? "is" : "are")} down" : null;
    }

    private long? SessionsOf(string node, QueueNode subject) =>
        IsNamed(_queue.NodeId, node) ? (long)Metrics.ConnectionsActive.Value
        : subject.IsDown ? null
        : _manager.Nodes.FirstOrDefault(other => IsNamed(other.Id, node))?.Metadata?.ActiveConnections;

    // It is about to join: nothing depends on it yet.
    private bool IsUnknownToQueue(string node) =>
        _state.Members?.Find(node) is null && _manager.Nodes.Any(other => IsNamed(other.Id, node));

    private static bool IsNamed(string? name, string other) => string.Equals(name, other, StringComparison.Ordinal);

    private static KeyNotFoundException NoSuchNode(string node) => new($"no node {node} in this cluster");

    private async Task ProposeAsync(NodeDrainingCommand command, CancellationToken token)
    {
        using CancellationTokenSource late = new(Patience, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
        var proposal = await _queue.ProposeAsync(command, either.Token);
        if (proposal.Outcome != ProposalOutcome.Applied)
        {
            throw new IOException($"the log did not take it: {proposal.Reason ?? "no answer in time"}");
        }

        if (!proposal.IsAccepted)
        {
            throw NoSuchNode(command.Node);
        }
    }

    // A node that drains may be elected again as long as it is there.
    private async Task RunAsync(CancellationToken token)
    {
        using PeriodicTimer timer = new(Interval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(token))
            {
                if (_manager.LocalNode.Role == NodeRole.Leader && _state.Members is { } members
                    && members.Find(_queue.NodeId) is { IsVacating: true }
                    && members.Nodes.FirstOrDefault(other => other is { IsDown: false, IsDraining: false }) is { } successor)
                {
                    await HandOverAsync(successor.Name, token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
    }

    private async Task HandOverAsync(string successor, CancellationToken token)
    {
        try
        {
            await _manager.TransferLeadershipAsync(successor, token);
        }
        catch (Exception later) when (later is InvalidOperationException or IOException or KeyNotFoundException)
        {
            // It is tried again.
            LogLeadsStill(_log, successor, later.Message);
        }
    }

    [LoggerMessage(3, LogLevel.Information, "{NodeId} drains: it takes no mail, and gives up messages, copies and leadership")]
    private static partial void LogDrains(ILogger log, string nodeId);

    [LoggerMessage(4, LogLevel.Information, "{NodeId} drains no more")]
    private static partial void LogDrainsNoMore(ILogger log, string nodeId);

    [LoggerMessage(5, LogLevel.Warning, "{NodeId} leaves the cluster by force: {Only} messages are on no other disk, {TooFew} on too few, {Owned} are its to deliver")]
    private static partial void LogForced(ILogger log, string nodeId, int only, int tooFew, int owned);

    [LoggerMessage(6, LogLevel.Information, "leadership could not be handed over to {NodeId} yet: {Reason}")]
    private static partial void LogLeadsStill(ILogger log, string nodeId, string reason);
}
