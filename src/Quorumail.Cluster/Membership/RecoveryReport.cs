using System.Globalization;

namespace Quorumail.Cluster.Membership;

/// <summary>What founding a new cluster from one disk has kept, and what it may have lost.</summary>
/// <param name="NodeId">The founder.</param>
/// <param name="ClusterId">The new cluster.</param>
/// <param name="Incarnation">This disk's number in it; as before, unless it had been removed.</param>
/// <param name="Term">Above every term of the old cluster that this disk knows.</param>
/// <param name="AppliedIndex">The last entry of the old log, which the state holds now.</param>
/// <param name="Uncertain">Of how many of the last entries this disk did not know whether they were committed; at most. They count now.</param>
/// <param name="FormerMembers">The old cluster's other nodes; their disks are refused until they are wiped.</param>
public sealed record RecoveryReport(
    string NodeId, Guid ClusterId, int Incarnation, long Term, long AppliedIndex, long Uncertain, IReadOnlyList<string> FormerMembers)
{
    /// <summary>For the operator.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"""
        {NodeId} has founded cluster {ClusterId}
        as incarnation {Incarnation}, with everything up to entry {AppliedIndex}. Of the last {Uncertain} entries this disk did not
        know whether they had been committed: what they say counts now. What the lost majority has acknowledged and this
        disk never received is lost.
        The disks of {string.Join(", ", FormerMembers)} belong to the old cluster. They are refused until their data
        directories are emptied.
        """);
}
