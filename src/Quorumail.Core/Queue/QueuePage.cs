namespace Quorumail.Core.Queue;

/// <summary>A page of a list.</summary>
/// <param name="Messages">Oldest first.</param>
/// <param name="Matched">Messages that are meant, on this page and on all others.</param>
public readonly record struct QueuePage(IReadOnlyList<QueuedMessage> Messages, int Matched);
