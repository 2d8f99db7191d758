using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Replication;

/// <summary>
/// Keeps bodies on several nodes' disks: while a message arrives (<see cref="Begin"/>, <see cref="KeepAsync"/>), later from
/// this node's disk (<see cref="CopyAsync"/>), and back from another's.
/// </summary>
internal sealed partial class BodyReplicas(Database database, IPeers peers, Func<QueueMembers?> members, TimeProvider time, ILogger log)
{
    private static readonly TimeSpan AgainPause = TimeSpan.FromMilliseconds(100);

    /// <summary>A copy that is not made in so long has another begun beside it: some times as long as a large body takes.</summary>
    private static readonly TimeSpan AttemptPatience = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan FetchTimeout = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<ClusterPeer, PeerCopier> _copiers = new();

    /// <summary>This node's disk.</summary>
    public BodyHolder Self => peers.Self;

    /// <summary>Whether the log carries small bodies: all members understand that and have room, and a majority's disks are enough.</summary>
    public bool CarriesBodies => peers.CarryBodies && members() is { IsLogEnough: true };

    /// <summary>Whether this node has a body, as far as its head tells.</summary>
    /// <exception cref="StorageException">The disk has failed.</exception>
    public bool Has(QueueId id)
    {
        try
        {
            return BodyRecords.Exists(database, id, BodyFrame.Head);
        }
        catch (BodyCorruptException)
        {
            return false;
        }
    }

    /// <summary>Begins the copies of a body that is being received: to one node more than must have it.</summary>
    public BodyCopies Begin(QueueId id)
    {
        var needed = (members()?.MinCopies ?? 1) - 1;
        if (needed == 0)
        {
            return new BodyCopies(id, [], 0, time);
        }

        // A disk that may go is not one more, but better than none.
        PeerCopier[] copiers = [.. Candidates(id, isDraining: false).Take(needed + 1)];
        return new BodyCopies(
            id, copiers.Length >= needed ? copiers : [.. copiers, .. Candidates(id, isDraining: true).Take(needed - copiers.Length)], needed, time);
    }

    /// <summary>
    /// Waits until a body that this node's journal has is on enough disks, its own among them. Where copies fail, or a node does not
    /// answer for seconds, others are made beside them, until the token ends it.
    /// </summary>
    /// <param name="copies">From <see cref="Begin"/>, the head added.</param>
    /// <param name="local">Ends when this node's disk has it.</param>
    /// <param name="token">Bounds the waiting.</param>
    /// <returns>Who has it, this node first.</returns>
    /// <exception cref="StorageException">This node's disk has failed.</exception>
    public async ValueTask<IReadOnlyList<BodyHolder>> KeepAsync(BodyCopies copies, ValueTask local, CancellationToken token)
    {
        await local;
        if (await copies.EnoughAsync(token))
        {
            return [Self, .. copies.Holders];
        }

        LogAgain(log, copies.Id, copies.Needed - copies.Holders.Count);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        Dictionary<PeerCopier, Attempt> attempts = [];
        try
        {
            while (true)
            {
                HashSet<BodyHolder> holders = [Self, .. copies.Holders, .. attempts.Where(a => a.Value.HasSucceeded).Select(a => BodyCopies.HolderOf(a.Key.Peer))];
                var missing = (members()?.MinCopies ?? 1) - holders.Count;
                if (missing <= 0)
                {
                    return [Self, .. holders.Where(holder => holder != Self)];
                }

                BeginMore(copies, attempts, holders, missing, stop.Token);
                await Task.WhenAny([Task.Delay(AgainPause, time, token), .. attempts.Values.Where(a => !a.Ended.IsCompleted).Select(a => a.Ended)]);
                token.ThrowIfCancellationRequested();
            }
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAll(attempts.Values.Select(a => a.Ended));
        }
    }

    /// <summary>Begins as many copies as are missing and not under way at nodes that answer.</summary>
    private void BeginMore(
        BodyCopies copies, Dictionary<PeerCopier, Attempt> attempts, HashSet<BodyHolder> holders, int missing, CancellationToken token)
    {
        missing -= copies.UnderWay + attempts.Values.Count(a => !a.Ended.IsCompleted && time.GetElapsedTime(a.Since) < AttemptPatience);
        foreach (var copier in Candidates(copies.Id, isDraining: false).Concat(Candidates(copies.Id, isDraining: true)))
        {
            var mayBegin = !holders.Contains(BodyCopies.HolderOf(copier.Peer)) && !copies.Awaits(copier)
                && (!attempts.TryGetValue(copier, out var last) || (last.Ended.IsCompleted && time.GetElapsedTime(last.Since) >= AgainPause));
            if (missing > 0 && mayBegin)
            {
                attempts[copier] = new Attempt(TryCopyAsync(copies.Id, copier.Peer, token), time.GetTimestamp());
                missing--;
            }
        }
    }

    /// <summary>Copies a body from this node's disk to another; false if the other does not take it.</summary>
    /// <param name="id">Whose body.</param>
    /// <param name="hash">Hash that it must have; empty: any.</param>
    /// <param name="target">The other disk.</param>
    /// <param name="token">Bounds the waiting.</param>
    /// <exception cref="BodyMissingException">It is not on this disk.</exception>
    /// <exception cref="BodyCorruptException">It is damaged on this disk.</exception>
    public async ValueTask<bool> CopyAsync(QueueId id, ReadOnlyMemory<byte> hash, ClusterPeer target, CancellationToken token)
    {
        BodyCopies copies = new(id, [CopierOf(target)], 1, time, isAgain: true);
        return await BodyRecords.ReadAsync(
            database,
            id,
            hash,
            async (number, record) =>
            {
                await copies.PaceAsync(token);
                copies.Add(number, record.Span);
                return copies.CanBeEnough;
            })
            && await copies.EnoughAsync(token);
    }

    /// <summary>
    /// Makes this disk's copy of a body whole out of what others have: those that hold it first, then those that may have held it.
    /// False if what is missing is nowhere.
    /// </summary>
    public async Task<bool> FetchAsync(QueuedMessage message, CancellationToken token)
    {
        BodyHolder[] reachable = [.. peers.Reachable.Select(BodyCopies.HolderOf).Where(holder => holder != Self)];
        foreach (var holder in message.Holders.Intersect(reachable).Concat(reachable.Except(message.Holders)))
        {
            using CancellationTokenSource late = new(FetchTimeout, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
            try
            {
                BodyRepair repair = new(
                    database,
                    message.Id,
                    message.Size,
                    message.BodyHash,
                    number =>
                    {
                        late.CancelAfter(FetchTimeout);
                        return FetchRecordAsync(holder, message.Id, number, either.Token);
                    });
                await repair.RunAsync(token);
                LogFetched(log, message.Id, holder.Node);
                return true;
            }
            catch (Exception failed) when (failed is IOException or StorageException || (failed is OperationCanceledException && !token.IsCancellationRequested))
            {
                LogNotFetched(log, message.Id, holder.Node, failed.Message);
            }
        }

        return false;
    }

    /// <summary>Whether another disk has a message's body, as far as its head tells.</summary>
    public async Task<bool> HasAsync(BodyHolder holder, QueuedMessage message, CancellationToken token)
    {
        try
        {
            var head = await FetchRecordAsync(holder, message.Id, BodyFrame.Head, token);
            return BodyRecords.IsSound(message.Id, BodyFrame.Head, head.Span)
                && BodyFormat.ReadHead(message.Id, head.Span, message.BodyHash.Span).Size == message.Size;
        }
        catch (Exception problem) when (problem is IOException or StorageException)
        {
            return false;
        }
    }

    private async Task<bool> TryCopyAsync(QueueId id, ClusterPeer target, CancellationToken token)
    {
        try
        {
            return await CopyAsync(id, default, target, token);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
        catch (StorageException damaged)
        {
            LogNotCopied(log, id, target.NodeId, damaged.Message);
            return false;
        }
    }

    private async Task<ReadOnlyMemory<byte>> FetchRecordAsync(BodyHolder holder, QueueId id, uint number, CancellationToken token)
    {
        var answer = await peers.AskAsync(holder.Node, BodyFrame.FetchOf((int)holder.Incarnation, id, number), token);
        return answer.Length > 1 && answer.Span[0] == 1 ? answer[1..] : throw new BodyMissingException(id, $"{holder.Node} does not have it");
    }

    // Members that can be reached, the one that the body belongs to most first.
    private IEnumerable<PeerCopier> Candidates(QueueId id, bool isDraining)
    {
        var reachable = peers.Reachable;
        return (members()?.Order(id) ?? [])
            .Where(node => node.IsDraining == isDraining && !string.Equals(node.Name, Self.Node, StringComparison.Ordinal))
            .Select(node => new ClusterPeer(node.Name, (int)node.Incarnation))
            .Where(reachable.Contains)
            .Select(CopierOf);
    }

    private PeerCopier CopierOf(ClusterPeer peer) => _copiers.GetOrAdd(peer, static (peer, peers) => new PeerCopier(peer, peers), peers);

    [LoggerMessage(1, LogLevel.Warning, "the body of {Id} is on {Missing} disks too few; it is copied again")]
    private static partial void LogAgain(ILogger log, QueueId id, int missing);

    [LoggerMessage(2, LogLevel.Error, "the body of {Id} can't be copied to {NodeId}: {Reason}")]
    private static partial void LogNotCopied(ILogger log, QueueId id, string nodeId, string reason);

    [LoggerMessage(3, LogLevel.Information, "the body of {Id} was fetched from {NodeId}")]
    private static partial void LogFetched(ILogger log, QueueId id, string nodeId);

    [LoggerMessage(4, LogLevel.Warning, "the body of {Id} can't be fetched from {NodeId}: {Reason}")]
    private static partial void LogNotFetched(ILogger log, QueueId id, string nodeId, string reason);

    /// <summary>A copy that is made beside those that were begun with the body.</summary>
    private readonly record struct Attempt(Task<bool> Ended, long Since)
    {
        public bool HasSucceeded => Ended is { IsCompletedSuccessfully: true, Result: true };
    }
}
