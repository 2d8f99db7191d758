using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>A message that an operator has removed.</summary>
/// <param name="Sequence">Rises by one with each; the key under which it is persisted.</param>
/// <param name="Id">Queue id.</param>
/// <param name="ReversePath">Empty for the null sender.</param>
/// <param name="Recipients">How many recipients were not final.</param>
/// <param name="InDoubt">Of these, how many had an open attempt, which may have delivered it.</param>
/// <param name="RemovedAt">Milliseconds of cluster time.</param>
/// <param name="Reason">As the operator gave it.</param>
public sealed record Removal(
    long Sequence, QueueId Id, string ReversePath, int Recipients, int InDoubt, long RemovedAt, string Reason);
