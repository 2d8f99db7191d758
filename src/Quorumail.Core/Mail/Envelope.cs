namespace Quorumail.Core.Mail;

/// <summary>What a message travels by (RFC 5321 2.3.1): reverse-path, forward-paths and their options.</summary>
/// <param name="ReversePath">local-part@domain, or the empty string for the null sender &lt;&gt;.</param>
/// <param name="Recipients">At least one; order is the order of the RCPT commands.</param>
/// <param name="Return">RFC 3461 RET.</param>
/// <param name="EnvelopeId">RFC 3461 ENVID in its xtext-encoded form, or null.</param>
public sealed record Envelope(
    string ReversePath,
    IReadOnlyList<EnvelopeRecipient> Recipients,
    DsnReturn Return = DsnReturn.Unspecified,
    string? EnvelopeId = null)
{
    /// <summary>Whether the message has the null sender, so that no notice may be sent for it (RFC 5321 4.5.5).</summary>
    public bool HasNullSender => ReversePath.Length == 0;
}
