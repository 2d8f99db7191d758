namespace Quorumail.Core.Queue;

/// <summary>
/// A change of the members by which messages went to other owners all at once. It stands for the records of these messages
/// until each has been written again: who reads an older record follows the placements after its
/// <see cref="QueuedMessage.Placed"/>, in order.
/// </summary>
/// <param name="Epoch">The epoch that the moved messages got; the key under which it is persisted.</param>
/// <param name="Members">The members after the change.</param>
public sealed record Placement(long Epoch, QueueMembers Members);
