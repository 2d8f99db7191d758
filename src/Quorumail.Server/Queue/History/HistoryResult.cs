using Quorumail.Core.Queue;

namespace Quorumail.Server.Queue.History;

/// <summary>What became of one recipient.</summary>
/// <param name="To">Its address.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Reply">The next hop's reply or our own reason, one line.</param>
/// <param name="EnhancedCode">RFC 3463 status.</param>
/// <param name="NextHop">Who answered; empty if nobody was reached.</param>
/// <param name="NextAttemptAt">When it is tried again, in milliseconds of cluster time; 0 if it is not.</param>
internal sealed record HistoryResult(string To, RecipientOutcome Outcome, string Reply, string EnhancedCode, string NextHop, long NextAttemptAt);
