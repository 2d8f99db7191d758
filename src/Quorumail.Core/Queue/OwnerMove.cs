namespace Quorumail.Core.Queue;

/// <summary>A message that has another owner, or whose owner has begun a new life, by a change of the members.</summary>
/// <param name="Message">As it is now.</param>
/// <param name="From">The owner before; the same as now if only the epoch has risen.</param>
public readonly record struct OwnerMove(QueuedMessage Message, string From);
