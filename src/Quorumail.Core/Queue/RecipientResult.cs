namespace Quorumail.Core.Queue;

/// <summary>What became of one recipient in an attempt.</summary>
/// <param name="Recipient">Index into the envelope's list.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Reply">The next hop's reply or our own reason: one line, at most 512 characters, no control characters.</param>
/// <param name="EnhancedCode">RFC 3463 status, such as "4.4.1".</param>
/// <param name="NextHop">Who answered, such as "mx1.example.org[192.0.2.1]:25"; empty if nobody was reached.</param>
/// <param name="NextAttemptAt">For a deferral or doubt: when to try again, in milliseconds of cluster time.</param>
/// <param name="DelayNoticed">A delay notice goes out with this result; it is not sent again.</param>
public sealed record RecipientResult(
    int Recipient,
    RecipientOutcome Outcome,
    string Reply,
    string EnhancedCode,
    string NextHop,
    long NextAttemptAt = 0,
    bool DelayNoticed = false);
