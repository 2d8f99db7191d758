using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Delivery.Client;

/// <summary>One mail transaction to be made with a next hop.</summary>
/// <param name="ReversePath">Empty for the null sender.</param>
/// <param name="Recipients">1 to <see cref="SmtpClientLimits.RecipientsMax"/>.</param>
/// <param name="Size">Octets of the message before dot-stuffing.</param>
/// <param name="Traits">What is in the message.</param>
/// <param name="Return">RFC 3461 RET.</param>
/// <param name="EnvelopeId">RFC 3461 ENVID in xtext, or null.</param>
public sealed record ClientTransaction(
    string ReversePath,
    IReadOnlyList<EnvelopeRecipient> Recipients,
    long Size,
    BodyTraits Traits,
    DsnReturn Return = DsnReturn.Unspecified,
    string? EnvelopeId = null)
{
    /// <summary>Whether an address of the envelope holds characters beyond ASCII (RFC 6531).</summary>
    public bool HasInternationalEnvelope
    {
        get
        {
            if (!Ascii.IsValid(ReversePath))
            {
                return true;
            }

            for (var i = 0; i < Recipients.Count; i++)
            {
                if (!Ascii.IsValid(Recipients[i].Address))
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Whether only a next hop with SMTPUTF8 can take it: envelope or header section are not ASCII.</summary>
    public bool NeedsSmtpUtf8 => (Traits & BodyTraits.EightBitHeaders) != BodyTraits.None || HasInternationalEnvelope;

    /// <summary>Whether the message holds octets above 127.</summary>
    public bool NeedsEightBit => (Traits & (BodyTraits.EightBit | BodyTraits.EightBitHeaders)) != BodyTraits.None;
}
