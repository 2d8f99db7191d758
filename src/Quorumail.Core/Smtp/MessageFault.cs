namespace Quorumail.Core.Smtp;

/// <summary>Why a message that is being received will be refused after its true end.</summary>
public enum MessageFault
{
    None = 0,

    /// <summary>A CR without LF or a LF without CR (RFC 5321 2.3.8): 550 5.6.11.</summary>
    BareLineEnd = 1,

    /// <summary>A NUL octet (RFC 6152 forbids it in 8-bit text): 550 5.6.11.</summary>
    Nul = 2,

    /// <summary>More octets than <see cref="SmtpLimits.MessageSizeMax"/>: 552 5.3.4.</summary>
    TooLarge = 3,

    /// <summary>A longer header section than <see cref="SmtpLimits.HeaderSizeMax"/>: 552 5.3.4.</summary>
    HeaderTooLarge = 4,

    /// <summary>More Received fields than <see cref="SmtpLimits.ReceivedFieldsMax"/>: 554 5.4.6.</summary>
    TooManyHops = 5,

    /// <summary>A text line longer than <see cref="SmtpLimits.TextLineMax"/>: 554 5.6.0.</summary>
    LineTooLong = 6,

    /// <summary>The host could not store the message: its own reply.</summary>
    Host = 7,
}
