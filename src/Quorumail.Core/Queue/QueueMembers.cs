using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>
/// The cluster's members, as the queue knows them, and the rules that follow from them: which copies count, and who owns a
/// message. Immutable. A queue that was never told its members has none of these rules: it stands alone.
/// </summary>
/// <param name="Version">Of the membership; an older one is refused.</param>
/// <param name="MinCopies">Copies that a message needs.</param>
/// <param name="InDoubtWait">How long an open attempt of a lost owner is waited for, in milliseconds of cluster time.</param>
/// <param name="Nodes">In ordinal order of their names, each name once.</param>
public sealed record QueueMembers(long Version, int MinCopies, long InDoubtWait, IReadOnlyList<QueueNode> Nodes)
{
    /// <summary>The member of this name, or null.</summary>
    public QueueNode? Find(string name)
    {
        for (var i = 0; i < Nodes.Count; i++)
        {
            if (string.Equals(Nodes[i].Name, name, StringComparison.Ordinal))
            {
                return Nodes[i];
            }
        }

        return null;
    }

    /// <summary>Whether the disk belongs to a member now: its copies count, also while the member is down.</summary>
    public bool IsCurrent(BodyHolder holder) => Find(holder.Node) is { } node && node.Incarnation == holder.Incarnation;

    /// <summary>
    /// Who has a body that the log carries: the members that follow it. One that is down comes to it by the log, too, unless it is
    /// away for so long that it is given the queue without the bodies; so it is named only where the others are too few.
    /// </summary>
    public IReadOnlyList<BodyHolder> HoldersByLog()
    {
        var up = Nodes.Count(node => !node.IsDown);
        return [.. Nodes.Where(node => !node.IsDown || up < MinCopies).Select(node => new BodyHolder(node.Name, node.Incarnation))];
    }

    /// <summary>Whether a body that the log carries is on enough disks when its entry is committed: on a majority's.</summary>
    public bool IsLogEnough => MinCopies <= (Nodes.Count / 2) + 1;

    /// <summary>How many members have a copy that counts.</summary>
    public int CopiesOf(IReadOnlyList<BodyHolder> holders) => View(holders).Copies;

    /// <summary>
    /// Whether there should be more copies: fewer than <see cref="MinCopies"/>, as far as there are members for them, are on
    /// disks that are not to be vacated; of a message that has a copy on such a disk, on those of members that are up, too, as far as there are any.
    /// </summary>
    public bool HasTooFewCopies(IReadOnlyList<BodyHolder> holders) => View(holders).IsTooFew;

    /// <summary>
    /// The node that is to own the message from now on; null if its owner stays, because it can deliver or because nobody
    /// else can. Of the holders that are up and not draining one is chosen by the message's id, which spreads evenly.
    /// </summary>
    public string? Place(QueuedMessage message) => Place(message, View(message.Holders));

    internal HolderView View(IReadOnlyList<BodyHolder> holders)
    {
        var up = new List<QueueNode>(Nodes.Count);
        var copies = 0;
        var (staying, places) = (0, 0);
        var (stayingUp, placesUp) = (0, 0);
        foreach (var node in Nodes)
        {
            var (one, oneUp) = (node.IsVacating ? 0 : 1, node.IsVacating || node.IsDown ? 0 : 1);
            places += one;
            placesUp += oneUp;
            for (var i = 0; i < holders.Count; i++)
            {
                if (holders[i].Incarnation == node.Incarnation && string.Equals(holders[i].Node, node.Name, StringComparison.Ordinal))
                {
                    copies++;
                    staying += one;
                    stayingUp += oneUp;
                    if (!node.IsDown)
                    {
                        up.Add(node);
                    }

                    break;
                }
            }
        }

        // A disk is given up only when those that are up have enough: see DiskDependence.
        var isTooFew = staying < Math.Min(MinCopies, places) || (copies > staying && stayingUp < Math.Min(MinCopies, placesUp));
        return new HolderView([.. up], copies, isTooFew);
    }

    internal string? Place(QueuedMessage message, HolderView view)
    {
        var own = view.IndexOf(message.Owner);
        if (own >= 0 && !view.Up[own].IsDraining)
        {
            return null;
        }

        QueueNode? best = null;
        var bestWeight = 0UL;
        foreach (var node in view.Up)
        {
            var weight = Weight(message.Id, node.Seed);
            if (best is null || (best.IsDraining && !node.IsDraining)
                || (best.IsDraining == node.IsDraining && weight > bestWeight))
            {
                (best, bestWeight) = (node, weight);
            }
        }

        if (best is null || (own >= 0 && best.IsDraining))
        {
            return null;
        }

        return message.IsAttempting && Find(message.Owner) is { IsDown: false } ? null : best.Name;
    }

    /// <summary>The members in the order in which they should hold a body: rendezvous hashing, the same on every node.</summary>
    public IReadOnlyList<QueueNode> Order(QueueId id)
    {
        QueueNode[] order = [.. Nodes];
        Array.Sort(order, (left, right) => Weight(id, right.Seed).CompareTo(Weight(id, left.Seed)));
        return order;
    }

    public bool Equals(QueueMembers? other) =>
        other is not null && Version == other.Version && MinCopies == other.MinCopies && InDoubtWait == other.InDoubtWait
        && Nodes.SequenceEqual(other.Nodes);

    public override int GetHashCode() => HashCode.Combine(Version, MinCopies, InDoubtWait, Nodes.Count);

    public override string ToString() =>
        $"version {Version}, {MinCopies} copies, wait {InDoubtWait}: {string.Join("; ", Nodes)}";

    /// <summary>The same members with one of them changed.</summary>
    internal QueueMembers With(QueueNode changed) => this with
    {
        Nodes = [.. Nodes.Select(node => string.Equals(node.Name, changed.Name, StringComparison.Ordinal) ? changed : node)],
    };

    private static ulong Weight(QueueId id, ulong seed)
    {
        // The finalizer of splitmix64, twice: each bit of id and node moves each bit of the result.
        var x = Mix((ulong)id.Milliseconds ^ ((ulong)id.RandomPart << 32) ^ seed);
        return Mix(x + id.RandomPart);

        static ulong Mix(ulong value)
        {
            value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9UL;
            value = (value ^ (value >> 27)) * 0x94D049BB133111EBUL;
            return value ^ (value >> 31);
        }
    }
}
