namespace Quorumail.Core.Queue;

/// <summary>A member of the cluster, as the queue knows it.</summary>
/// <param name="Name">Its node id.</param>
/// <param name="Incarnation">Its present disk: copies on an earlier one don't count.</param>
/// <param name="Life">Its present process: rises with each start of the node; 0 while none is known.</param>
/// <param name="IsDown">The leader has lost it: it owns nothing that another node could deliver.</param>
/// <param name="IsDraining">It is to be given no more messages.</param>
/// <param name="IsVacating">It may not come back: the others are to have enough copies without its disk. Only while it drains.</param>
public sealed record QueueNode(string Name, long Incarnation, long Life, bool IsDown, bool IsDraining, bool IsVacating = false)
{
    /// <summary>Decides, with a message's id, which of its holders becomes its owner. The same on every node and in every version.</summary>
    internal ulong Seed { get; } = Hash(Name);

    private static ulong Hash(string name)
    {
        // FNV-1a, 64 bits.
        var hash = 14695981039346656037UL;
        foreach (var c in name)
        {
            hash = (hash ^ c) * 1099511628211UL;
        }

        return hash;
    }
}
