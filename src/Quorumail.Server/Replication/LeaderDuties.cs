using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Core.Queue;
using Quorumail.Server.Configuration;
using Quorumail.Server.Queue;

namespace Quorumail.Server.Replication;

/// <summary>
/// What the leader tells the queue for all: who the members are, which of them it has lost, which are back. A node's lease
/// is the engine's contact with it; it has none any more when it has been silent for that long, or when it refuses to be
/// dialled again. Runs on every node, and does nothing on those that don't lead.
/// </summary>
internal sealed partial class LeaderDuties : IAsyncDisposable
{
    /// <summary>Between two looks; a look costs microseconds.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly ClusterManager _manager;
    private readonly MailQueue _queue;
    private readonly ReplicatedQueue _state;
    private readonly ClusterOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;

    public LeaderDuties(ClusterManager manager, MailQueue queue, ReplicatedQueue state, ClusterOptions options, TimeProvider time, ILogger log)
    {
        _manager = manager;
        _queue = queue;
        _state = state;
        _options = options;
        _time = time;
        _log = log;
        _running = RunAsync(_stop.Token);
    }

    /// <summary>Waits until the queue knows this node's disk as a member's.</summary>
    public async Task MemberAsync(CancellationToken token)
    {
        while (_state.Members is not { } members || _manager.Node is not { } node || !members.IsCurrent(new BodyHolder(node.NodeId, node.Incarnation)))
        {
            await Task.Delay(Interval, _time, token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }

    private async Task RunAsync(CancellationToken token)
    {
        using PeriodicTimer timer = new(Interval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(token))
            {
                if (_manager.Contacts is { Count: > 0 } contacts && _manager.IsReady)
                {
                    await TellAsync(contacts, _manager.MembershipVersion, token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
    }

    private async Task TellAsync(IReadOnlyList<MemberContact> contacts, long version, CancellationToken token)
    {
        var minCopies = Math.Min(_options.MinCopies > 0 ? _options.MinCopies : (contacts.Count / 2) + 1, contacts.Count);
        var inDoubtWait = (long)_options.InDoubtWait.TotalMilliseconds;
        if (_state.Members is not { } known || known.MinCopies != minCopies || known.InDoubtWait != inDoubtWait
            || known.Nodes.Count != contacts.Count || !contacts.All(contact => known.IsCurrent(BodyCopies.HolderOf(contact.Peer))))
        {
            await ProposeAsync(new NodesChangedCommand([.. contacts.Select(contact => BodyCopies.HolderOf(contact.Peer))], minCopies, inDoubtWait, version), token);
            return;
        }

        foreach (var (peer, silence, isGone) in contacts)
        {
            if (known.Find(peer.NodeId) is not { } node)
            {
                continue;
            }

            var isDown = isGone || silence > _options.OwnerLease;
            if (isDown && !node.IsDown)
            {
                LogDown(_log, peer.NodeId, isGone ? "its process has ended" : $"silent for {silence.TotalMilliseconds:0} ms", _state.CountOwnedBy(peer.NodeId));
                await ProposeAsync(new NodeDownCommand(peer.NodeId, peer.Incarnation), token);
            }
            else if (!isDown && node.IsDown)
            {
                LogUp(_log, peer.NodeId);
                await ProposeAsync(new NodeUpCommand(peer.NodeId, peer.Incarnation, node.Life), token);
            }
        }
    }

    // What is not decided is found to be missing at the next look.
    private async Task ProposeAsync(QueueCommand command, CancellationToken token)
    {
        using CancellationTokenSource late = new(Patience, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
        await _queue.ProposeAsync(command, either.Token);
    }

    [LoggerMessage(1, LogLevel.Warning, "{NodeId} is lost ({Reason}); others take over its {Count} messages")]
    private static partial void LogDown(ILogger log, string nodeId, string reason, int count);

    [LoggerMessage(2, LogLevel.Information, "{NodeId} is back")]
    private static partial void LogUp(ILogger log, string nodeId);
}
