namespace Quorumail.Core.Limits;

/// <summary>The answer of a node's ledger.</summary>
/// <param name="Verdict">What may be done.</param>
/// <param name="Ask">What to propose, if anything; with <see cref="LimitVerdict.Passed"/> it is for later, and nobody waits for it.</param>
/// <param name="Until">When it makes sense to try again, in milliseconds of cluster time; 0: when an answer has come.</param>
/// <param name="Slot">What was taken, of a limit of connections.</param>
/// <param name="Token">What was taken, of a limit of events.</param>
public readonly record struct LimitDecision(
    LimitVerdict Verdict, LimitCommand? Ask = null, long Until = 0, HeldSlot? Slot = null, LimitToken Token = default);
