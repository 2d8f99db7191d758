namespace Quorumail.Core.Queue;

/// <summary>A destination or a sender for which no attempt begins.</summary>
/// <param name="Scope">Of what.</param>
/// <param name="Name">A domain, or a sender's address; in lower case.</param>
/// <param name="Reason">One line for the operator.</param>
/// <param name="Since">Milliseconds of cluster time.</param>
/// <param name="ExpiresAt">Milliseconds of cluster time; 0: never.</param>
public sealed record Suspension(SuspensionScope Scope, string Name, string Reason, long Since, long ExpiresAt)
{
    /// <summary>Whether it holds at this cluster time.</summary>
    public bool IsInForce(long now) => ExpiresAt == 0 || now < ExpiresAt;
}
