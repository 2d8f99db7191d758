namespace Quorumail.Core.Mail;

/// <summary>One forward-path of an envelope with its delivery status options.</summary>
/// <param name="Address">local-part@domain as it will be sent on; quoted local parts keep their quotes.</param>
/// <param name="Notify">RFC 3461 NOTIFY.</param>
/// <param name="OriginalRecipient">RFC 3461 ORCPT in its xtext-encoded form with type ("rfc822;a@b"), or null.</param>
public sealed record EnvelopeRecipient(
    string Address,
    DsnNotify Notify = DsnNotify.Unspecified,
    string? OriginalRecipient = null);
