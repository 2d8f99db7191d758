namespace Quorumail.Server.Torture.Ledger;

/// <summary>What happened in a run that may put deliveries on the list of suspects.</summary>
/// <param name="Unanswered">Queue ids of messages that came whole to the next hop and were not answered.</param>
/// <param name="OwnersLost">Whether a node died, or was out of the others' reach, so that attempts of its own were in doubt.</param>
internal sealed record SuspectCauses(IReadOnlySet<string> Unanswered, bool OwnersLost);
