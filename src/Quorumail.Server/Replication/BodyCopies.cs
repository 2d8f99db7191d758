using Quorumail.Cluster;
using Quorumail.Core;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Replication;

/// <summary>
/// The copies of one body that are being made at other nodes, while it arrives or from this node's disk. Pieces are added by
/// one caller; the slowest node is not waited for once enough others have the body.
/// </summary>
internal sealed class BodyCopies
{
    /// <summary>Bytes of this body under way to a node before the sender waits for it.</summary>
    private const long PaceBytes = 512 << 10;

    /// <summary>Bytes under way to a node that make it too slow for this body.</summary>
    private const long BehindBytes = 4 << 20;

    private readonly Lock _gate = new();
    private readonly Copy[] _copies;
    private readonly byte _flags;
    private TaskCompletionSource? _changed;

    /// <param name="id">Whose body.</param>
    /// <param name="copiers">The disks to copy to.</param>
    /// <param name="needed">How many of them must have the body.</param>
    /// <param name="isAgain">Pieces may be there already.</param>
    public BodyCopies(QueueId id, IReadOnlyCollection<PeerCopier> copiers, int needed, bool isAgain = false)
    {
        Id = id;
        Needed = needed;
        _flags = isAgain ? BodyFrame.Again : (byte)0;
        _copies = [.. copiers.Select(copier => new Copy { Copier = copier })];
    }

    /// <summary>The queue id.</summary>
    public QueueId Id { get; }

    /// <summary>How many copies there must be.</summary>
    public int Needed { get; }

    /// <summary>Whether enough nodes have the whole body, durably.</summary>
    public bool IsEnough => Count(static copy => copy.IsDone) >= Needed;

    /// <summary>Whether enough nodes may still get there.</summary>
    public bool CanBeEnough => Count(static copy => !copy.IsLost) >= Needed;

    /// <summary>Whether the message had left the queue when a copy came.</summary>
    public bool IsGone { get; private set; }

    /// <summary>The disks that have the whole body.</summary>
    public IReadOnlyList<BodyHolder> Holders
    {
        get
        {
            lock (_gate)
            {
                return [.. _copies.Where(copy => copy.IsDone).Select(copy => HolderOf(copy.Copier.Peer))];
            }
        }
    }

    /// <summary>A disk, in the queue's words.</summary>
    public static BodyHolder HolderOf(ClusterPeer peer) => new(peer.NodeId, peer.Incarnation);

    /// <summary>Sends a piece, the head last, to all nodes that have not been given up.</summary>
    public void Add(uint number, ReadOnlySpan<byte> record)
    {
        foreach (var copy in _copies)
        {
            lock (_gate)
            {
                if (copy.IsLost)
                {
                    continue;
                }

                copy.UnderWay += record.Length;
            }

            if (!copy.Copier.TryAdd(this, number, record, _flags))
            {
                Lose(copy);
            }
        }
    }

    /// <summary>Waits until enough nodes are close behind, or can't be any more; gives up those that are far.</summary>
    public ValueTask PaceAsync(CancellationToken token) => UntilAsync(PaceBytes, token);

    /// <summary>Waits until enough nodes have all pieces so far, or can't any more; gives up those that don't.</summary>
    public async ValueTask SettleAsync(CancellationToken token)
    {
        await UntilAsync(1, token);
        lock (_gate)
        {
            foreach (var copy in _copies)
            {
                copy.IsLost |= copy.UnderWay > 0;
            }
        }
    }

    /// <summary>Waits until enough nodes have the whole body; false if that can't be any more.</summary>
    public async ValueTask<bool> EnoughAsync(CancellationToken token)
    {
        while (true)
        {
            Task changed;
            lock (_gate)
            {
                if (IsEnough || !CanBeEnough)
                {
                    return IsEnough;
                }

                changed = NextChangeAsync();
            }

            await changed.WaitAsync(token);
        }
    }

    /// <summary>What became of a piece at a node.</summary>
    public void Answered(PeerCopier copier, uint number, int length, CopyStatus status)
    {
        TaskCompletionSource? changed;
        lock (_gate)
        {
            var copy = Array.Find(_copies, copy => ReferenceEquals(copy.Copier, copier));
            Invariant.Check(copy is not null, "answers come for what was sent");
            copy!.UnderWay -= length;
            copy.IsLost |= status != CopyStatus.Stored;
            copy.IsDone |= number == BodyFrame.Head && status == CopyStatus.Stored;
            IsGone |= status == CopyStatus.Gone;
            changed = TakeWaiter();
        }

        changed?.TrySetResult();
    }

    private void Lose(Copy copy)
    {
        TaskCompletionSource? changed;
        lock (_gate)
        {
            copy.IsLost = true;
            changed = TakeWaiter();
        }

        changed?.TrySetResult();
    }

    private async ValueTask UntilAsync(long bytes, CancellationToken token)
    {
        while (true)
        {
            Task changed;
            lock (_gate)
            {
                foreach (var copy in _copies)
                {
                    copy.IsLost |= copy.UnderWay > BehindBytes;
                }

                if (Count(copy => !copy.IsLost && copy.UnderWay < bytes) >= Needed || !CanBeEnough)
                {
                    return;
                }

                changed = NextChangeAsync();
            }

            await changed.WaitAsync(token);
        }
    }

    // Under the gate. Whoever waits goes on where the answer was read.
    private Task NextChangeAsync() => (_changed ??= new TaskCompletionSource()).Task;

    private TaskCompletionSource? TakeWaiter()
    {
        var changed = _changed;
        _changed = null;
        return changed;
    }

    private int Count(Predicate<Copy> which)
    {
        lock (_gate)
        {
            var count = 0;
            foreach (var copy in _copies)
            {
                count += which(copy) ? 1 : 0;
            }

            return count;
        }
    }

    private sealed class Copy
    {
        public required PeerCopier Copier { get; init; }

        public long UnderWay { get; set; }

        public bool IsLost { get; set; }

        public bool IsDone { get; set; }
    }
}
