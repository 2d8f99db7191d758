namespace Quorumail.Core.Mail;

/// <summary>What the receiving side saw in the message, so that delivery needs no second look at it.</summary>
[Flags]
public enum BodyTraits
{
    None = 0,

    /// <summary>The message holds octets above 127, in header or body.</summary>
    EightBit = 1,

    /// <summary>The header section holds octets above 127 (RFC 6532): the next hop needs SMTPUTF8.</summary>
    EightBitHeaders = 2,

    /// <summary>MAIL declared BODY=8BITMIME.</summary>
    DeclaredEightBit = 4,

    /// <summary>MAIL declared SMTPUTF8 (RFC 6531).</summary>
    DeclaredSmtpUtf8 = 8,
}
