namespace Quorumail.Core.Limits;

/// <summary>What is granted of a limit to a node for a key.</summary>
/// <param name="Limit">Which limit.</param>
/// <param name="Key">Which key.</param>
/// <param name="Node">To whom.</param>
/// <param name="Slot">Number of the slot; 0: these are tokens.</param>
/// <param name="Count">Tokens; 1 for a slot.</param>
/// <param name="Until">When it ends, in milliseconds of cluster time.</param>
public readonly record struct LimitGrant(string Limit, string Key, string Node, long Slot, int Count, long Until);
