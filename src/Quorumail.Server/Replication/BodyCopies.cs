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

    /// <summary>
    /// A node that answers nothing for so long is not relied on for a body that is being received. Much longer than a disk's syncs,
    /// and so short that a copy elsewhere is made before the client is told 451.
    /// </summary>
    private static readonly TimeSpan SilenceMax = TimeSpan.FromSeconds(2);

    private readonly Lock _gate = new();
    private readonly Copy[] _copies;
    private readonly bool _isAgain;
    private readonly TimeProvider _time;
    private TaskCompletionSource? _changed;
    private byte[] _head = [];

    /// <param name="id">Whose body.</param>
    /// <param name="copiers">The disks to copy to.</param>
    /// <param name="needed">How many of them must have the body.</param>
    /// <param name="time">The clock.</param>
    /// <param name="isAgain">Pieces may be there already; who waits has no other disk to copy to meanwhile.</param>
    public BodyCopies(QueueId id, IReadOnlyCollection<PeerCopier> copiers, int needed, TimeProvider time, bool isAgain = false)
    {
        Id = id;
        Needed = needed;
        _time = time;
        _isAgain = isAgain;
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

    /// <summary>How many more nodes are on their way to the whole body, and answer.</summary>
    public int UnderWay => Count(copy => !copy.IsDone && IsRelied(copy));

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

    /// <summary>Whether a node has pieces and may still come to have the whole body.</summary>
    public bool Awaits(PeerCopier copier) => Count(copy => ReferenceEquals(copy.Copier, copier) && copy is { IsLost: false, IsDone: false }) > 0;

    /// <summary>Sends a piece, the head last, to all nodes that have not been given up: the head to each when it has the others.</summary>
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

                if (number == BodyFrame.Head && copy.UnderWay > 0)
                {
                    _head = _head is [] ? record.ToArray() : _head;
                    copy.IsHeadDue = true;
                    continue;
                }

                copy.HeardAt = copy.UnderWay > 0 ? copy.HeardAt : _time.GetTimestamp();
                copy.UnderWay += record.Length;
            }

            Send(copy, number, record);
        }
    }

    /// <summary>Waits until enough nodes are close behind, as far as there are any; gives up those that are far.</summary>
    public async ValueTask PaceAsync(CancellationToken token)
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

                if (Count(static copy => !copy.IsLost && copy.UnderWay < PaceBytes) >= Math.Min(Needed, Count(IsRelied)))
                {
                    return;
                }

                changed = NextChangeAsync();
            }

            await ChangeAsync(changed, token);
        }
    }

    /// <summary>
    /// Waits until enough nodes have the whole body; false if that can't be any more, or not before others than those that answer have it.
    /// </summary>
    public async ValueTask<bool> EnoughAsync(CancellationToken token)
    {
        while (true)
        {
            Task changed;
            lock (_gate)
            {
                if (IsEnough || Count(IsRelied) < Needed)
                {
                    return IsEnough;
                }

                changed = NextChangeAsync();
            }

            await ChangeAsync(changed, token);
        }
    }

    /// <summary>What became of a piece at a node.</summary>
    public void Answered(PeerCopier copier, uint number, int length, CopyStatus status)
    {
        TaskCompletionSource? changed;
        bool sendsHead;
        var copy = Array.Find(_copies, copy => ReferenceEquals(copy.Copier, copier));
        Invariant.Check(copy is not null, "answers come for what was sent");
        lock (_gate)
        {
            copy!.UnderWay -= length;
            copy.HeardAt = _time.GetTimestamp();
            copy.IsLost |= status != CopyStatus.Stored;
            copy.IsDone |= number == BodyFrame.Head && status == CopyStatus.Stored;
            IsGone |= status == CopyStatus.Gone;
            sendsHead = copy is { IsHeadDue: true, IsLost: false, UnderWay: 0 };
            if (sendsHead)
            {
                copy.IsHeadDue = false;
                copy.UnderWay = _head.Length;
            }

            changed = TakeWaiter();
        }

        if (sendsHead)
        {
            Send(copy, BodyFrame.Head, _head);
        }

        changed?.TrySetResult();
    }

    private void Send(Copy copy, uint number, ReadOnlySpan<byte> record)
    {
        if (!copy.Copier.TryAdd(this, number, record, _isAgain ? BodyFrame.Again : (byte)0))
        {
            Lose(copy);
        }
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

    // Whether it is waited for.
    private bool IsRelied(Copy copy) =>
        !copy.IsLost && (_isAgain || copy.IsDone || copy.UnderWay == 0 || _time.GetElapsedTime(copy.HeardAt) < SilenceMax);

    // Silence is no change.
    private async ValueTask ChangeAsync(Task changed, CancellationToken token)
    {
        try
        {
            await changed.WaitAsync(_isAgain ? Timeout.InfiniteTimeSpan : SilenceMax, _time, token);
        }
        catch (TimeoutException)
        {
            // Who is silent is seen at the next look.
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

        /// <summary>When it answered last, or was sent the first piece after that.</summary>
        public long HeardAt { get; set; }

        public bool IsHeadDue { get; set; }

        public bool IsLost { get; set; }

        public bool IsDone { get; set; }
    }
}
