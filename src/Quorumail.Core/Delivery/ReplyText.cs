using System.Text;

namespace Quorumail.Core.Delivery;

/// <summary>Cleans what a next hop said, before it is stored, logged or put into a notice.</summary>
public static class ReplyText
{
    /// <summary>Longest kept reply, in characters (RFC 5321 4.5.3.1.5).</summary>
    public const int MaxLength = 512;

    /// <summary>One line without control characters, at most <paramref name="maxLength"/> characters; runs of blanks become one.</summary>
    public static string Clean(string? text, int maxLength = MaxLength)
    {
        if (string.IsNullOrEmpty(text))
        {
            return "";
        }

        if (text.Length <= maxLength && IsClean(text))
        {
            return text;
        }

        var clean = new StringBuilder(Math.Min(text.Length, maxLength));
        var blank = true;
        foreach (var rune in text.EnumerateRunes())
        {
            if (clean.Length + rune.Utf16SequenceLength > maxLength)
            {
                break;
            }

            if (rune.Value is ' ' or '\t' or '\r' or '\n')
            {
                if (!blank)
                {
                    clean.Append(' ');
                }

                blank = true;
            }
            else
            {
                clean.Append(IsHarmless(rune) ? rune.ToString() : "?");
                blank = false;
            }
        }

        return clean.ToString().TrimEnd(' ');
    }

    /// <summary>The status if it is one of the class that <paramref name="verdict"/> asks for; otherwise that class with ".0.0".</summary>
    public static string EnhancedCode(string? code, DeliveryVerdict verdict)
    {
        var wanted = verdict switch
        {
            DeliveryVerdict.Delivered => '2',
            DeliveryVerdict.Permanent => '5',
            _ => '4',
        };
        return code is { Length: >= 5 and <= 9 } && code[0] == wanted && IsStatus(code) ? code : $"{wanted}.0.0";
    }

    private static bool IsStatus(string code)
    {
        var parts = code.Split('.');
        return parts.Length == 3 && parts[0].Length == 1
            && Array.TrueForAll(parts, static p => p.Length is >= 1 and <= 3 && p.All(char.IsAsciiDigit));
    }

    private static bool IsClean(string text)
    {
        var previous = ' ';
        foreach (var c in text)
        {
            if (c is < ' ' or > '~' || (c == ' ' && previous == ' '))
            {
                return false;
            }

            previous = c;
        }

        return previous != ' ';
    }

    // Controls (C0, C1, DEL), line separators and characters that turn the direction of text around them.
    private static bool IsHarmless(Rune rune) =>
        rune.Value is not (< 0x20 or 0x7f or (>= 0x80 and <= 0x9f) or 0x2028 or 0x2029 or 0xfeff or 0xfffd
            or (>= 0x200b and <= 0x200f) or (>= 0x202a and <= 0x202e) or (>= 0x2066 and <= 0x2069));
}
