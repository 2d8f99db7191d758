using Quorumail.Core.Cluster.State;

namespace Quorumail.Cluster.State;

/// <summary>The whole store as of one index of the log; cut out in one piece, for its entries never change.</summary>
/// <param name="Index">Log index.</param>
/// <param name="Version">Number of the last change.</param>
/// <param name="LastRemovalAt">Cluster time of the last removal.</param>
/// <param name="Entries">All entries, in no particular order until <see cref="Sort"/>.</param>
internal sealed record StateCut(long Index, long Version, long LastRemovalAt, StateEntry[] Entries)
{
    /// <summary>Orders the entries, so that equal states have equal snapshots on every node.</summary>
    public void Sort() => Array.Sort(Entries, static (left, right) => string.CompareOrdinal(left.Key, right.Key));
}
