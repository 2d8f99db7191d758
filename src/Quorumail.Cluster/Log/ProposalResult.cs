namespace Quorumail.Cluster.Log;

/// <summary>How a proposal ended.</summary>
/// <param name="Outcome">What is known.</param>
/// <param name="Index">Log index of the entry; 0 unless applied.</param>
/// <param name="Value">What the state answered when it applied the command; empty unless applied.</param>
/// <param name="Reason">For the operator, unless applied.</param>
public readonly record struct ProposalResult(
    ProposalOutcome Outcome,
    long Index,
    ReadOnlyMemory<byte> Value,
    string? Reason = null);
