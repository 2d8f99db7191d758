using System.Buffers;
using System.Text;

namespace Quorumail.Core.Smtp;

/// <summary>Makes hostile text safe for one line of a reply, a header field or a log.</summary>
public static class Printable
{
    private static readonly SearchValues<char> Safe = SearchValues.Create(
        " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~");

    /// <summary>The text with everything but printable ASCII replaced by "?", at most <paramref name="max"/> characters long.</summary>
    public static string Ascii(string text, int max)
    {
        ArgumentNullException.ThrowIfNull(text);
        var kept = text.Length <= max ? text : text[..max];
        if (!kept.AsSpan().ContainsAnyExcept(Safe))
        {
            return kept;
        }

        return string.Create(kept.Length, kept, static (target, source) =>
        {
            for (var i = 0; i < target.Length; i++)
            {
                target[i] = source[i] is >= ' ' and <= '~' ? source[i] : '?';
            }
        });
    }

    /// <summary>The octets as text, every octet but printable ASCII replaced by "?", at most <paramref name="max"/> characters long.</summary>
    public static string Ascii(ReadOnlySpan<byte> text, int max) =>
        Ascii(Encoding.Latin1.GetString(text.Length <= max ? text : text[..max]), max);
}
