namespace Quorumail.Core.Queue;

/// <summary>How many messages wait for a domain. A message with recipients in several domains counts for each of them.</summary>
/// <param name="Domain">In lower case; empty for recipients without one.</param>
/// <param name="Queued">No attempt has begun.</param>
/// <param name="Attempting">A recipient has an open attempt.</param>
/// <param name="Deferred">None has an open attempt, and at least one attempt has been made.</param>
/// <param name="Held">Held by an operator.</param>
public sealed record DomainCounts(string Domain, int Queued, int Attempting, int Deferred, int Held)
{
    /// <summary>All messages that wait for the domain.</summary>
    public int Total => Queued + Attempting + Deferred + Held;
}
