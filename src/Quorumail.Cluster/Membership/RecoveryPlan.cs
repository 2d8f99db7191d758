using System.Globalization;

namespace Quorumail.Cluster.Membership;

/// <summary>What founding a new cluster from a disk will do, and what it may lose.</summary>
/// <param name="NodeId">Whose disk it is.</param>
/// <param name="ClusterId">The cluster whose majority is lost.</param>
/// <param name="FormerMembers">The other nodes that this disk knows.</param>
/// <param name="LastIndex">The last entry of its log.</param>
/// <param name="Uncertain">Of how many of the last entries it does not know whether they were committed; at most.</param>
public sealed record RecoveryPlan(string NodeId, Guid ClusterId, IReadOnlyList<string> FormerMembers, long LastIndex, long Uncertain)
{
    /// <summary>For the operator, who is to decide.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"""
        This is the disk of {NodeId}, a member of cluster {ClusterId}
        beside {string.Join(", ", FormerMembers)}. Its log goes up to entry {LastIndex}.

        {NodeId} becomes the only member of a new cluster:
        - The whole log on this disk counts. Of its last {Uncertain} entries this disk does not know whether a majority
          had them; they count too.
        - What a majority has acknowledged and this disk never received is lost.
        - The disks of the others are refused from then on, until their data directories are emptied; then they
          join as new nodes.
        Do this only if so many of the others are gone for good that no majority can come back. Otherwise start them:
        then nothing is lost. If they run on beside the new cluster, there are two.
        """);
}
