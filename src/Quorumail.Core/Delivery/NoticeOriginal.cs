using System.Buffers;
using System.Text;
using System.Text.Unicode;

namespace Quorumail.Core.Delivery;

/// <summary>The part of a notice that returns the original, or its header section.</summary>
/// <param name="Type">Content type.</param>
/// <param name="Content">Lines ended by CRLF, each at most 998 octets; empty for no such part.</param>
/// <param name="IsEightBit">Holds octets above 127.</param>
internal sealed record NoticeOriginal(string Type, byte[] Content, bool IsEightBit)
{
    private const int MaxLine = 998;

    public static NoticeOriginal Of(NoticePlan plan, ReadOnlySpan<byte> original)
    {
        var whole = plan.ReturnsWhole && original.Length >= plan.Original.Size;
        if (whole && Lines(original, untilBlank: false, out var cut) is { } message && !cut)
        {
            var global = HasEightBitHeader(original);
            return Part(message, global ? "message/global" : "message/rfc822");
        }

        var header = Lines(original, untilBlank: true, out _);
        return Part(header, HasEightBitHeader(original) ? "message/global-headers" : "text/rfc822-headers");
    }

    private static NoticeOriginal Part(byte[] content, string type) => new(type, content, !Ascii.IsValid(content));

    private static bool HasEightBitHeader(ReadOnlySpan<byte> original)
    {
        var header = Lines(original, untilBlank: true, out _);
        return !Ascii.IsValid(header) && Utf8.IsValid(header);
    }

    /// <summary>The lines up to the first empty one, or all; over-long ones are cut.</summary>
    private static byte[] Lines(ReadOnlySpan<byte> original, bool untilBlank, out bool cut)
    {
        cut = false;
        var output = new ArrayBufferWriter<byte>(original.Length + 2);
        while (original.Length > 0)
        {
            var end = original.IndexOfAny((byte)'\r', (byte)'\n');
            var line = end < 0 ? original : original[..end];
            var skip = end < 0 ? original.Length
                : original[end] == '\r' && end + 1 < original.Length && original[end + 1] == '\n' ? end + 2 : end + 1;
            if (untilBlank && (line.IsEmpty || end < 0))
            {
                break;
            }

            if (line.Length > MaxLine)
            {
                cut = true;
                line = line[..MaxLine];
            }

            output.Write(line);
            output.Write("\r\n"u8);
            original = original[skip..];
        }

        return output.WrittenSpan.ToArray();
    }
}
