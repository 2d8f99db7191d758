namespace Quorumail.Core.Delivery.Client;

/// <summary>
/// A next hop's reply (RFC 5321 4.2), made harmless: printable ASCII only, everything else written as \xHH, so that it can go
/// into logs, notices and the queue.
/// </summary>
public sealed class SmtpReply
{
    /// <summary>Longest <see cref="Text"/>, in characters.</summary>
    public const int TextMax = 512;

    private string? _text;

    /// <summary>A reply of these parts.</summary>
    /// <param name="code">200 to 599.</param>
    /// <param name="enhancedCode">RFC 3463 status at the start of the text, or null.</param>
    /// <param name="lines">At least one: the texts after the code, escaped.</param>
    public SmtpReply(int code, string? enhancedCode, IReadOnlyList<string> lines)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(code, 200);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(code, 599);
        ArgumentNullException.ThrowIfNull(lines);
        ArgumentOutOfRangeException.ThrowIfZero(lines.Count, nameof(lines));
        Code = code;
        EnhancedCode = enhancedCode;
        Lines = lines;
    }

    /// <summary>Three digits, 200 to 599.</summary>
    public int Code { get; }

    /// <summary>RFC 3463 status that the next hop gave and that fits the code, or null.</summary>
    public string? EnhancedCode { get; }

    /// <summary>The texts after the code, one a line.</summary>
    public IReadOnlyList<string> Lines { get; }

    /// <summary>2yz: done.</summary>
    public bool IsPositive => Code < 300;

    /// <summary>3yz: go on.</summary>
    public bool IsIntermediate => Code is >= 300 and < 400;

    /// <summary>4yz: try again later.</summary>
    public bool IsTemporary => Code is >= 400 and < 500;

    /// <summary>5yz: do not try again.</summary>
    public bool IsPermanent => Code >= 500;

    /// <summary>421: the next hop closes the connection (RFC 5321 3.8).</summary>
    public bool ClosesConnection => Code is 421 or 521;

    /// <summary>Code and text in one line of at most <see cref="TextMax"/> characters.</summary>
    public string Text => _text ??= Join();

    /// <summary>The next hop's RFC 3463 status, or the general one of the code's class.</summary>
    public string StatusOrDefault => EnhancedCode ?? (IsPermanent ? "5.0.0" : IsTemporary ? "4.0.0" : "2.0.0");

    public override string ToString() => Text;

    private string Join()
    {
        var text = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Code} {Lines[0]}");
        for (var i = 1; i < Lines.Count && text.Length < TextMax; i++)
        {
            text = string.Concat(text, " ", Lines[i]);
        }

        return text.Length <= TextMax ? text.TrimEnd() : text[..TextMax];
    }
}
