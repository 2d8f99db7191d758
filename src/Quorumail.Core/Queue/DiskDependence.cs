namespace Quorumail.Core.Queue;

/// <summary>What of the queue depends on one member's disk.</summary>
/// <param name="Held">Messages with a copy on it.</param>
/// <param name="TooFew">Those with fewer copies than wanted on the disks of other members that are up and stay.</param>
/// <param name="Only">Those without a copy on the disk of any other member, up or not: lost if the disk is.</param>
public readonly record struct DiskDependence(int Held, int TooFew, int Only)
{
    /// <summary>Looks at all messages. All 0 if there is no such member.</summary>
    /// <param name="messages">The queue.</param>
    /// <param name="members">The cluster.</param>
    /// <param name="node">The member's name.</param>
    public static DiskDependence Of(IEnumerable<QueuedMessage> messages, QueueMembers members, string node)
    {
        ArgumentNullException.ThrowIfNull(messages);
        ArgumentNullException.ThrowIfNull(members);
        if (members.Find(node) is not { } subject)
        {
            return default;
        }

        var wanted = WantedWithout(members, node);

        // Many messages share a list of holders.
        Dictionary<object, DiskDependence> known = new(ReferenceEqualityComparer.Instance);
        var (held, tooFew, only) = default(DiskDependence);
        foreach (var message in messages)
        {
            if (!known.TryGetValue(message.Holders, out var each))
            {
                known[message.Holders] = each = Of(message.Holders, members, subject, wanted);
            }

            held += each.Held;
            tooFew += each.TooFew;
            only += each.Only;
        }

        return new DiskDependence(held, tooFew, only);
    }

    /// <summary>Copies that messages should have on other disks than this member's: as many as there are, or are to stay, at most.</summary>
    public static int WantedWithout(QueueMembers members, string node)
    {
        ArgumentNullException.ThrowIfNull(members);
        return Math.Min(members.MinCopies, members.Nodes.Count(other => !other.IsVacating && !IsNamed(other, node)));
    }

    private static DiskDependence Of(IReadOnlyList<BodyHolder> holders, QueueMembers members, QueueNode subject, int wanted)
    {
        var (isHeld, elsewhere, any) = (false, 0, false);
        foreach (var holder in holders)
        {
            if (!members.IsCurrent(holder))
            {
                continue;
            }

            var node = members.Find(holder.Node)!;
            isHeld |= ReferenceEquals(node, subject);
            if (!ReferenceEquals(node, subject))
            {
                any = true;
                elsewhere += node is { IsDown: false, IsVacating: false } ? 1 : 0;
            }
        }

        return !isHeld ? default : new DiskDependence(1, elsewhere < wanted ? 1 : 0, any ? 0 : 1);
    }

    private static bool IsNamed(QueueNode node, string name) => string.Equals(node.Name, name, StringComparison.Ordinal);
}
