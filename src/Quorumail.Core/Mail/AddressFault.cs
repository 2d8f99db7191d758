namespace Quorumail.Core.Mail;

/// <summary>What is wrong with an address.</summary>
public enum AddressFault
{
    None = 0,

    /// <summary>Not the grammar of RFC 5321 4.1.2, or too long (4.5.3.1).</summary>
    Syntax = 1,

    /// <summary>Holds octets above 127 where SMTPUTF8 (RFC 6531) was not asked for.</summary>
    NeedsUtf8 = 2,
}
