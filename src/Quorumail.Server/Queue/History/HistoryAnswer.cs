namespace Quorumail.Server.Queue.History;

/// <summary>What is known of a message.</summary>
/// <param name="Events">Oldest first; none if nothing is known.</param>
/// <param name="Failure">Why nothing is noted any more; null if all is well.</param>
internal sealed record HistoryAnswer(IReadOnlyList<HistoryEvent> Events, string? Failure);
