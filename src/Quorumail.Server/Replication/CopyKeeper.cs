using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Replication;

/// <summary>
/// Brings messages back to as many copies as the members ask for, after a member was lost, wiped, or added. Of a message's
/// holders the first that is up does it, so that nothing is copied twice; every node runs one. Where its own copy is damaged or
/// missing it is mended first; if that can't be, and another holder has one, this one is struck off the list, so that the next
/// holder goes on. It also tells the log which copies this node lacks after it was given the queue as a snapshot.
/// </summary>
internal sealed partial class CopyKeeper : IAsyncDisposable
{
    /// <summary>Messages looked at in one go.</summary>
    private const int PageSize = 1000;

    /// <summary>Bodies that are copied at once: enough to fill a disk's syncs, little beside what clients send.</summary>
    private const int AtOnce = 8;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan CopyTimeout = TimeSpan.FromSeconds(30);

    private readonly ReplicatedQueue _state;
    private readonly BodyReplicas _replicas;
    private readonly Func<bool> _isReady;
    private readonly Func<QueueCommand, CancellationToken, ValueTask<QueueProposal>> _propose;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stop = new();
    private Task _running = Task.CompletedTask;

    /// <param name="state">The queue.</param>
    /// <param name="replicas">This node's bodies, and the others'.</param>
    /// <param name="isReady">Whether proposals can commit now.</param>
    /// <param name="propose">Proposes a command to the queue's log.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">Told what the operator should know.</param>
    public CopyKeeper(
        ReplicatedQueue state,
        BodyReplicas replicas,
        Func<bool> isReady,
        Func<QueueCommand, CancellationToken, ValueTask<QueueProposal>> propose,
        TimeProvider time,
        ILogger log)
    {
        _state = state;
        _replicas = replicas;
        _isReady = isReady;
        _propose = propose;
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
                if (_state.Unchecked is not 0 and var number && _isReady())
                {
                    await CheckAsync(number, token);
                }

                if (_state.Copies.TooFew > 0 && _isReady())
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
            Dictionary<(BodyHolder Holder, bool Added), List<QueueId>> changes = [];
            await Parallel.ForEachAsync(
                mine,
                new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = token },
                async (message, within) =>
                {
                    if (await CopyAsync(message, members, within) is { } change)
                    {
                        lock (changes)
                        {
                            (changes.TryGetValue(change, out var ids) ? ids : changes[change] = []).Add(message.Id);
                        }
                    }
                });
            foreach (var ((holder, isAdded), ids) in changes)
            {
                // What is not decided now is copied again, which costs a question.
                var isAccepted = await TellAsync(ids, holder, isAdded, token);
                copied += isAccepted && isAdded ? ids.Count : 0;
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
            if (!await TellAsync(ids, self, isAdded: false, token))
            {
                return;
            }
        }

        await _state.NoteCheckedAsync(number);
        LogChecked(_log, lacking.Count);
    }

    private bool IsMine(QueuedMessage message, QueueMembers members) =>
        message.Holders.Where(holder => members.IsCurrent(holder) && members.Find(holder.Node) is { IsDown: false })
            .MinBy(holder => holder.Node, StringComparer.Ordinal) == _replicas.Self;

    private async ValueTask<bool> TellAsync(IReadOnlyList<QueueId> ids, BodyHolder holder, bool isAdded, CancellationToken token)
    {
        using CancellationTokenSource late = new(CopyTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
        return (await _propose(new HoldersChangedCommand(ids, holder, isAdded), either.Token)).IsAccepted;
    }

    /// <summary>Makes one more copy of a message, and returns what the log is to be told; null if nothing.</summary>
    private async ValueTask<(BodyHolder Holder, bool Added)?> CopyAsync(QueuedMessage message, QueueMembers members, CancellationToken token)
    {
        foreach (var node in members.Order(message.Id))
        {
            BodyHolder holder = new(node.Name, node.Incarnation);
            if (node.IsDown || node.IsVacating || message.Holders.Contains(holder))
            {
                continue;
            }

            ClusterPeer target = new(node.Name, (int)node.Incarnation);
            var isCopied = await TryAsync(message, target, token);
            if (isCopied is null && _state.TryGet(message.Id, out _))
            {
                if (!await BoundedAsync(message.Id, within => _replicas.FetchAsync(message, within), token))
                {
                    return await IsElsewhereAsync(message, members, token) ? (_replicas.Self, false) : null;
                }

                isCopied = await TryAsync(message, target, token);
            }

            if (isCopied is not false)
            {
                return isCopied is true ? (holder, true) : null;
            }
        }

        return null;
    }

    /// <summary>Whether a copy was made; null: this disk does not have it whole.</summary>
    private async Task<bool?> TryAsync(QueuedMessage message, ClusterPeer target, CancellationToken token)
    {
        try
        {
            return await BoundedAsync(message.Id, async within => await _replicas.CopyAsync(message.Id, message.BodyHash, target, within), token);
        }
        catch (StorageException damaged) when (damaged is BodyMissingException or BodyCorruptException)
        {
            LogNotWhole(_log, damaged.Message);
            return null;
        }
        catch (StorageException failed)
        {
            LogNotCopied(_log, message.Id, target.NodeId, failed.Message);
            return false;
        }
    }

    /// <summary>Whether another member that is up has the body, as far as its head tells.</summary>
    private async Task<bool> IsElsewhereAsync(QueuedMessage message, QueueMembers members, CancellationToken token)
    {
        foreach (var holder in message.Holders)
        {
            if (holder != _replicas.Self && members.IsCurrent(holder) && members.Find(holder.Node) is { IsDown: false }
                && await BoundedAsync(message.Id, within => _replicas.HasAsync(holder, message, within), token))
            {
                LogStruck(_log, message.Id, holder.Node);
                return true;
            }
        }

        return false;
    }

    // Late is no.
    private async Task<bool> BoundedAsync(QueueId id, Func<CancellationToken, Task<bool>> act, CancellationToken token)
    {
        using CancellationTokenSource late = new(CopyTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
        try
        {
            return await act(either.Token);
        }
        catch (OperationCanceledException) when (!token.IsCancellationRequested)
        {
            LogLate(_log, id, (int)CopyTimeout.TotalSeconds);
            return false;
        }
    }

    [LoggerMessage(1, LogLevel.Information, "{Count} messages were copied to another disk; {Left} still have too few copies")]
    private static partial void LogCopied(ILogger log, int count, int left);

    [LoggerMessage(3, LogLevel.Information, "the queue came as a snapshot; of {Count} messages this disk lacks the body, which the others have been told")]
    private static partial void LogChecked(ILogger log, int count);

    [LoggerMessage(2, LogLevel.Warning, "the body of {Id} can't be copied to {NodeId}: {Reason}")]
    private static partial void LogNotCopied(ILogger log, QueueId id, string nodeId, string reason);

    [LoggerMessage(4, LogLevel.Error, "{Damage} It is brought from another disk.")]
    private static partial void LogNotWhole(ILogger log, string damage);

    [LoggerMessage(5, LogLevel.Error, "the body of {Id} can't be made whole on this disk, which no longer counts as one that has it; {NodeId} has it")]
    private static partial void LogStruck(ILogger log, QueueId id, string nodeId);

    [LoggerMessage(6, LogLevel.Warning, "the body of {Id} was not copied within {Seconds} s; it is tried again")]
    private static partial void LogLate(ILogger log, QueueId id, int seconds);
}
