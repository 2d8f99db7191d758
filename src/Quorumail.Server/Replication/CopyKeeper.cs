using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Replication;

/// <summary>
/// Brings messages back to as many copies as the members ask for, after a member was lost, wiped, or added. Of a message's
/// holders the first that is up does it, so that nothing is copied twice; every node runs one. It also tells the log which
/// copies this node lacks after it was given the queue as a snapshot.
/// </summary>
internal sealed partial class CopyKeeper : IAsyncDisposable
{
    /// <summary>Messages looked at in one go.</summary>
    private const int PageSize = 1000;

    /// <summary>Bodies that are copied at once: enough to fill a disk's syncs, little beside what clients send.</summary>
    private const int AtOnce = 8;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan CopyTimeout = TimeSpan.FromSeconds(30);

    private readonly MailQueue _queue;
    private readonly ReplicatedQueue _state;
    private readonly BodyReplicas _replicas;
    private readonly IPeers _peers;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stop = new();
    private Task _running = Task.CompletedTask;

    public CopyKeeper(MailQueue queue, ReplicatedQueue state, BodyReplicas replicas, IPeers peers, TimeProvider time, ILogger log)
    {
        _queue = queue;
        _state = state;
        _replicas = replicas;
        _peers = peers;
        _time = time;
        _log = log;
    }

    /// <summary>Begins.</summary>
    public void Start() => _running = RunAsync(_stop.Token);

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
                if (_state.Unchecked is not 0 and var number && _queue.IsReady)
                {
                    await CheckAsync(number, token);
                }

                if (_state.Copies.TooFew > 0 && _queue.IsReady)
                {
                    await LookAsync(token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
        catch (StorageException)
        {
            // The disk has failed, which is reported elsewhere: the node stops.
        }
    }

    private async Task LookAsync(CancellationToken token)
    {
        QueueId? after = null;
        var copied = 0;
        while (_state.Members is { } members && _state.MessagesWantingCopies(after, PageSize) is { Count: > 0 } page)
        {
            after = page[^1].Id;
            var mine = page.Where(message => IsMine(message, members)).ToList();
            Dictionary<BodyHolder, List<QueueId>> added = [];
            await Parallel.ForEachAsync(
                mine,
                new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = token },
                async (message, within) =>
                {
                    if (await CopyAsync(message, members, within) is { } holder)
                    {
                        lock (added)
                        {
                            (added.TryGetValue(holder, out var ids) ? ids : added[holder] = []).Add(message.Id);
                        }
                    }
                });
            foreach (var (holder, ids) in added)
            {
                // What is not decided now is copied again, which costs a question.
                using CancellationTokenSource late = new(CopyTimeout, _time);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
                var proposal = await _queue.ProposeAsync(new HoldersChangedCommand(ids, holder, Added: true), either.Token);
                copied += proposal.IsAccepted ? ids.Count : 0;
            }
        }

        if (copied > 0)
        {
            LogCopied(_log, copied, _state.Copies.TooFew);
        }
    }

    // A snapshot names this disk for bodies that came in entries which it never saw. The others bring them if there are too few then.
    private async Task CheckAsync(int number, CancellationToken token)
    {
        var self = _replicas.Self;
        var lacking = await Task.Run(() => _state.IdsHeldBy(self).Where(id => !_replicas.Has(id)).ToList(), token);
        foreach (var ids in lacking.Chunk(PageSize))
        {
            using CancellationTokenSource late = new(CopyTimeout, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
            if (!(await _queue.ProposeAsync(new HoldersChangedCommand(ids, self, Added: false), either.Token)).IsAccepted)
            {
                return;
            }
        }

        await _state.NoteCheckedAsync(number);
        LogChecked(_log, lacking.Count);
    }

    private bool IsMine(QueuedMessage message, QueueMembers members) =>
        message.Holders.Where(holder => members.IsCurrent(holder) && members.Find(holder.Node) is { IsDown: false })
            .MinBy(holder => holder.Node, StringComparer.Ordinal) == _peers.Self;

    private async ValueTask<BodyHolder?> CopyAsync(QueuedMessage message, QueueMembers members, CancellationToken token)
    {
        foreach (var node in members.Order(message.Id))
        {
            BodyHolder holder = new(node.Name, node.Incarnation);
            if (node.IsDown || node.IsVacating || message.Holders.Contains(holder))
            {
                continue;
            }

            using CancellationTokenSource late = new(CopyTimeout, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
            try
            {
                if (await _replicas.CopyAsync(message.Id, message.BodyHash, new ClusterPeer(node.Name, (int)node.Incarnation), either.Token))
                {
                    return holder;
                }
            }
            catch (Exception failed) when (failed is StorageException || (failed is OperationCanceledException && !token.IsCancellationRequested))
            {
                LogNotCopied(_log, message.Id, node.Name, failed.Message);
            }
        }

        return null;
    }

    [LoggerMessage(1, LogLevel.Information, "{Count} messages were copied to another disk; {Left} still have too few copies")]
    private static partial void LogCopied(ILogger log, int count, int left);

    [LoggerMessage(3, LogLevel.Information, "the queue came as a snapshot; of {Count} messages this disk lacks the body, which the others have been told")]
    private static partial void LogChecked(ILogger log, int count);

    [LoggerMessage(2, LogLevel.Warning, "the body of {Id} can't be copied to {NodeId}: {Reason}")]
    private static partial void LogNotCopied(ILogger log, QueueId id, string nodeId, string reason);
}
