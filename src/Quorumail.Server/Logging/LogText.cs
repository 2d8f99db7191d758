using System.Buffers;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Logging;

/// <summary>How values become characters that can't be mistaken for anything else in a log.</summary>
internal static class LogText
{
    private static readonly SearchValues<char> Plain = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'()*+,-./:;<=>?@[]^_`{|}~");

    private static readonly SearchValues<char> PlainMessage = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'()*+,-./:;<=>?@[]^_`{|}~ \"");

    /// <summary>The short name of a level.</summary>
    public static string Name(LogLevel level) => level switch
    {
        LogLevel.Critical => "crit",
        LogLevel.Error => "error",
        LogLevel.Warning => "warn",
        LogLevel.Information => "info",
        _ => "debug",
    };

    /// <summary>Writes a word of a line: as it is, or in quotes with everything unusual escaped.</summary>
    public static void WriteValue(ReadOnlySpan<char> value, IBufferWriter<byte> output)
    {
        if (value.Length > 0 && !value.ContainsAnyExcept(Plain))
        {
            WriteAscii(value, output);
            return;
        }

        output.Write("\""u8);
        WriteEscaped(value, output, quotes: true);
        output.Write("\""u8);
    }

    /// <summary>Writes a sentence: spaces and quotes stay, control characters and their like are escaped.</summary>
    public static void WriteMessage(ReadOnlySpan<char> value, IBufferWriter<byte> output)
    {
        if (!value.ContainsAnyExcept(PlainMessage))
        {
            WriteAscii(value, output);
            return;
        }

        WriteEscaped(value, output, quotes: false);
    }

    /// <summary>Writes characters known to be ASCII.</summary>
    public static void WriteAscii(ReadOnlySpan<char> value, IBufferWriter<byte> output)
    {
        var span = output.GetSpan(value.Length);
        Encoding.ASCII.GetBytes(value, span);
        output.Advance(value.Length);
    }

    private static void WriteEscaped(ReadOnlySpan<char> value, IBufferWriter<byte> output, bool quotes)
    {
        foreach (var rune in value.EnumerateRunes())
        {
            switch (rune.Value)
            {
                case '\\':
                    output.Write("\\\\"u8);
                    break;
                case '"' when quotes:
                    output.Write("\\\""u8);
                    break;
                case '\r':
                    output.Write("\\r"u8);
                    break;
                case '\n':
                    output.Write("\\n"u8);
                    break;
                case '\t':
                    output.Write("\\t"u8);
                    break;
                default:
                    WriteRune(rune, output);
                    break;
            }
        }
    }

    private static void WriteRune(Rune rune, IBufferWriter<byte> output)
    {
        if (IsPrintable(rune))
        {
            output.Advance(rune.EncodeToUtf8(output.GetSpan(4)));
            return;
        }

        Span<char> escape = stackalloc char[12];
        _ = rune.Value <= 0xff
            ? escape.TryWrite(CultureInfo.InvariantCulture, $"\\x{rune.Value:x2}", out var length)
            : escape.TryWrite(CultureInfo.InvariantCulture, $"\\u{{{rune.Value:x}}}", out length);
        WriteAscii(escape[..length], output);
    }

    // Controls, line and paragraph separators, and invisible characters that turn text around (bidi overrides) are not.
    private static bool IsPrintable(Rune rune) =>
        rune.Value is >= ' ' and < 0x7f
        || (rune.Value >= 0xa0 && Rune.GetUnicodeCategory(rune) is not (
            UnicodeCategory.Control
            or UnicodeCategory.Format
            or UnicodeCategory.LineSeparator
            or UnicodeCategory.ParagraphSeparator
            or UnicodeCategory.Surrogate
            or UnicodeCategory.PrivateUse
            or UnicodeCategory.OtherNotAssigned));
}
