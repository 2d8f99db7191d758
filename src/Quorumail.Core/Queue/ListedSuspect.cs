namespace Quorumail.Core.Queue;

/// <summary>A suspect in the list.</summary>
/// <param name="Sequence">Rises by one with each; the key under which it is persisted.</param>
/// <param name="Suspect">What is in doubt.</param>
public readonly record struct ListedSuspect(long Sequence, Suspect Suspect);
