using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>A delivery that may have happened, or may happen, twice. Every possible duplicate is listed; nothing else is.</summary>
/// <param name="Id">Queue id.</param>
/// <param name="Recipient">The recipient's address; empty when all recipients are meant.</param>
/// <param name="Attempt">The attempt in doubt, 0 when the doubt is about the client.</param>
/// <param name="Reason">Why.</param>
/// <param name="ListedAt">Milliseconds of cluster time.</param>
/// <param name="Detail">One line for the operator.</param>
public sealed record Suspect(
    QueueId Id,
    string Recipient,
    int Attempt,
    SuspectReason Reason,
    long ListedAt,
    string Detail);
