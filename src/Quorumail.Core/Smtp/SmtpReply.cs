using System.Text;

namespace Quorumail.Core.Smtp;

/// <summary>One SMTP reply of one line: a code, an enhanced status code (RFC 3463) and a text, ready to be sent.</summary>
public sealed class SmtpReply
{
    private readonly byte[] _wire;

    /// <param name="code">200 to 599.</param>
    /// <param name="enhanced">Such as "5.7.1"; empty where the RFC has none (greeting, 354).</param>
    /// <param name="text">Printable ASCII on one line; anything else is replaced by "?". At most 400 characters are kept.</param>
    public SmtpReply(int code, string enhanced, string text)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(code, 200);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(code, 599);
        ArgumentNullException.ThrowIfNull(enhanced);
        ArgumentNullException.ThrowIfNull(text);
        Code = code;
        Enhanced = enhanced;
        Text = Printable.Ascii(text, TextMax);
        _wire = Encoding.ASCII.GetBytes(enhanced.Length == 0 ? $"{code} {Text}\r\n" : $"{code} {enhanced} {Text}\r\n");
    }

    private const int TextMax = 400;

    /// <summary>The three-digit code.</summary>
    public int Code { get; }

    /// <summary>RFC 3463 status, or empty.</summary>
    public string Enhanced { get; }

    /// <summary>What the line says after the codes.</summary>
    public string Text { get; }

    /// <summary>Whether the client is told that something went wrong.</summary>
    public bool IsNegative => Code >= 400;

    /// <summary>The octets to send, with CRLF.</summary>
    public ReadOnlySpan<byte> Wire => _wire;

    public override string ToString() => Encoding.ASCII.GetString(_wire.AsSpan()[..^2]);
}
