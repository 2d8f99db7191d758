using Quorumail.Core.Smtp;

namespace Quorumail.Server.Smtp;

/// <summary>
/// What came of a message. One that is neither queued nor refused is left open by a disk that failed: the connection ends
/// without an answer, and the client, which knows as little as we, sends again (RFC 5321 4.2.5, RFC 1047).
/// </summary>
/// <param name="IsQueued">It is committed: 250.</param>
/// <param name="Refusal">What to answer otherwise.</param>
/// <param name="MayBeQueued">It is, or nobody knows: what it took of limits is used.</param>
public readonly record struct IntakeOutcome(bool IsQueued, SmtpReply? Refusal, bool MayBeQueued);
