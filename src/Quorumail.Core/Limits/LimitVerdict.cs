namespace Quorumail.Core.Limits;

/// <summary>What a node may do now.</summary>
public enum LimitVerdict
{
    /// <summary>It may go on: a token is taken, or a slot.</summary>
    Passed = 0,

    /// <summary>Propose <see cref="LimitDecision.Ask"/>, tell the ledger the answer, and ask it again.</summary>
    Ask = 1,

    /// <summary>
    /// Somebody asks already: ask the ledger again when the answer has come. Or the window ends in a moment: ask it again at
    /// <see cref="LimitDecision.Until"/>, which then is not 0.
    /// </summary>
    Wait = 2,

    /// <summary>Not before <see cref="LimitDecision.Until"/>.</summary>
    Refused = 3,
}
