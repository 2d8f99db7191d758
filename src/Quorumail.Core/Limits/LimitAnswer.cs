namespace Quorumail.Core.Limits;

/// <summary>The answer to a <see cref="LimitCommand"/>; the same on every node.</summary>
/// <param name="Status">Granted, or why not.</param>
/// <param name="Count">Tokens granted.</param>
/// <param name="Until">Milliseconds of cluster time: when what was granted ends, or, if exhausted, when to ask again.</param>
/// <param name="Slot">Number of the slot; 0 for none.</param>
public readonly record struct LimitAnswer(LimitStatus Status, int Count = 0, long Until = 0, long Slot = 0);
