namespace Quorumail.Core.Smtp;

/// <summary>The verbs of four letters as big-endian upper-case numbers.</summary>
internal static class SmtpVerb
{
    public const uint None = 0;
    public const uint Ehlo = 0x45484C4F;
    public const uint Helo = 0x48454C4F;
    public const uint Mail = 0x4D41494C;
    public const uint Rcpt = 0x52435054;
    public const uint Data = 0x44415441;
    public const uint Bdat = 0x42444154;
    public const uint Rset = 0x52534554;
    public const uint Noop = 0x4E4F4F50;
    public const uint Help = 0x48454C50;
    public const uint Vrfy = 0x56524659;
    public const uint Expn = 0x4558504E;
    public const uint Auth = 0x41555448;
    public const uint Quit = 0x51554954;

    /// <summary>HTTP, or a PROXY header where none belongs: nothing good follows.</summary>
    public static bool BelongsToAnotherProtocol(ReadOnlySpan<byte> verb) =>
        verb.SequenceEqual("GET"u8) || verb.SequenceEqual("CONNECT"u8) || verb.SequenceEqual("PROXY"u8);
}
