namespace Quorumail.Core.Queue;

/// <summary>
/// Lets messages with the same holders share one list. Bounded: a slot per hash, the latest wins. What is shared is a matter
/// of memory only and never of state.
/// </summary>
internal sealed class SharedHolders(SharedStrings names)
{
    private const int Slots = 1024;
    private readonly BodyHolder[]?[] _slots = new BodyHolder[]?[Slots];

    public IReadOnlyList<BodyHolder> Share(IReadOnlyList<BodyHolder> holders)
    {
        var hash = holders.Count;
        for (var i = 0; i < holders.Count; i++)
        {
            hash = HashCode.Combine(hash, holders[i].Node?.GetHashCode(StringComparison.Ordinal), holders[i].Incarnation);
        }

        ref var slot = ref _slots[hash & (Slots - 1)];
        if (slot is null || !slot.SequenceEqual(holders))
        {
            slot = [.. holders.Select(h => h with { Node = names.Share(h.Node ?? "") })];
        }

        return slot;
    }
}
