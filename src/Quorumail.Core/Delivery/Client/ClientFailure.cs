namespace Quorumail.Core.Delivery.Client;

/// <summary>Why a session can't go on.</summary>
/// <param name="Stage">Where it ended.</param>
/// <param name="EnhancedCode">RFC 3463 status, such as "4.4.2".</param>
/// <param name="Reason">The reply or our own words: one line, at most 512 characters, printable ASCII.</param>
/// <param name="IsPermanent">Another try at this host will not help.</param>
public sealed record ClientFailure(ClientStage Stage, string EnhancedCode, string Reason, bool IsPermanent);
