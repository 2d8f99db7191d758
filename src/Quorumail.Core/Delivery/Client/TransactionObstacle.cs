namespace Quorumail.Core.Delivery.Client;

/// <summary>Why a transaction can't be made with a next hop that offers what it offers.</summary>
public enum TransactionObstacle
{
    /// <summary>It can.</summary>
    None = 0,

    /// <summary>Larger than the next hop's SIZE (RFC 1870): 5.3.4.</summary>
    TooLarge = 1,

    /// <summary>The message holds octets above 127 and the next hop lacks 8BITMIME (RFC 6152): to be converted, or 5.6.3.</summary>
    NeedsEightBit = 2,

    /// <summary>Envelope or header section are not ASCII and the next hop lacks SMTPUTF8 (RFC 6531): 5.6.7.</summary>
    NeedsSmtpUtf8 = 3,

    /// <summary>An address can't be written into a command: 5.1.3.</summary>
    UnsafeAddress = 4,
}
