using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>
/// The members of the cluster have changed; the leader says so. Copies on other disks than the members' present ones count
/// no more, and messages whose owner is no member go to holders that are up. New members are up; of the others it is
/// remembered whether they are. The first of its kind turns the queue of a lone node into a cluster's.
/// </summary>
/// <param name="Nodes">Members and their present disks; each name once.</param>
/// <param name="MinCopies">Copies that an Enqueue needs, at most as many as there are members.</param>
/// <param name="InDoubtWait">How long the result of a lost owner's attempt is waited for, in milliseconds of cluster time.</param>
/// <param name="Version">Rises with the membership; an older one is refused (<see cref="ApplyStatus.StaleEpoch"/>).</param>
public sealed record NodesChangedCommand(
    IReadOnlyList<BodyHolder> Nodes,
    int MinCopies,
    long InDoubtWait = NodesChangedCommand.DefaultInDoubtWait,
    long Version = 0) : QueueCommand
{
    /// <summary>One minute (DESIGN 6).</summary>
    public const long DefaultInDoubtWait = 60_000;
}

/// <summary>
/// The leader has lost a node. Its epoch rises, so that it can start nothing any more; its messages go to holders that are
/// up, spread evenly; those without one wait for it. Results of its open attempts are waited for. Refused if it is no
/// member with this disk, or down already.
/// </summary>
public sealed record NodeDownCommand(string Node, long Incarnation) : QueueCommand;

/// <summary>
/// A node is back, or begins a new life. Its epoch rises; messages that wait for a holder and are on its disk become its own.
/// </summary>
/// <param name="Node">Its name.</param>
/// <param name="Incarnation">Its disk; refused if it is not the member's present one.</param>
/// <param name="Life">
/// Rises with each start of the process. A new one ends draining, and what the earlier one had under way is over as after
/// <see cref="NodeDownCommand"/>. An earlier one is refused, and so is the present one if the node is up already.
/// </param>
public sealed record NodeUpCommand(string Node, long Incarnation, long Life) : QueueCommand;

/// <summary>
/// A node is to be given no messages any more, or may be again. Draining moves its messages to other holders that are up,
/// those with open attempts when these have ended; it keeps what no other holder can take. Not refused on repetition.
/// </summary>
/// <param name="Node">Its name; refused if it is no member.</param>
/// <param name="IsDraining">Whether it drains.</param>
/// <param name="IsVacating">Its copies count as missing from now on, so that others are made; until it drains no more.</param>
public sealed record NodeDrainingCommand(string Node, bool IsDraining, bool IsVacating = false) : QueueCommand;

/// <summary>
/// A disk has, or has no more, a copy of these messages. Ids that are not in the queue are skipped, so that it can be
/// repeated. Refused if a copy is added on a disk that is not a member's present one.
/// </summary>
/// <param name="Ids">At most <see cref="QueueLimits.MaxBatch"/>.</param>
/// <param name="Holder">The disk.</param>
/// <param name="Added">True if it holds durable copies, false if it lost them.</param>
public sealed record HoldersChangedCommand(IReadOnlyList<QueueId> Ids, BodyHolder Holder, bool Added) : QueueCommand;
