using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Server.Delivery.Maildir;

/// <summary>
/// How a message stands in a Maildir: Return-Path and Delivered-To in front, lines ended by LF alone, which is what Maildir's readers expect
/// and what CRLF is turned into. Nothing else is changed.
/// </summary>
internal static class MaildirFormat
{
    /// <summary>
    /// The file's base name: the same for every delivery of this message to this recipient on every node, so that a repeated one is
    /// recognised. It begins with the time in seconds, as Maildir's readers sort by it.
    /// </summary>
    public static string FileName(QueueId id, int recipient) =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{id.Milliseconds / 1000}.Q{id}R{recipient}.quorumail");

    /// <summary>The lines that final delivery adds (RFC 5321 4.4).</summary>
    public static byte[] Head(string reversePath, string recipient) =>
        Encoding.UTF8.GetBytes($"Return-Path: <{OneLine(reversePath)}>\nDelivered-To: {OneLine(recipient)}\n");

    /// <summary>Copies a piece with CRLF turned into LF; <paramref name="carriageReturn"/> remembers one at a piece's end.</summary>
    /// <param name="source">The piece.</param>
    /// <param name="destination">At least one octet longer than <paramref name="source"/>.</param>
    /// <param name="carriageReturn">Whether the octet before was a CR that has not been written yet.</param>
    /// <returns>Octets written.</returns>
    public static int Convert(ReadOnlySpan<byte> source, Span<byte> destination, ref bool carriageReturn)
    {
        var length = 0;
        if (carriageReturn && !source.IsEmpty)
        {
            carriageReturn = false;
            if (source[0] != (byte)'\n')
            {
                destination[length++] = (byte)'\r';
            }
        }

        while (!source.IsEmpty)
        {
            var end = source.IndexOf((byte)'\r');
            if (end < 0)
            {
                source.CopyTo(destination[length..]);
                return length + source.Length;
            }

            source[..end].CopyTo(destination[length..]);
            length += end;
            source = source[(end + 1)..];
            if (source.IsEmpty)
            {
                carriageReturn = true;
            }
            else if (source[0] != (byte)'\n')
            {
                destination[length++] = (byte)'\r';
            }
        }

        return length;
    }

    private static string OneLine(string address) =>
        string.Create(address.Length, address, static (text, from) =>
        {
            for (var i = 0; i < from.Length; i++)
            {
                text[i] = char.IsControl(from[i]) || from[i] is '\u2028' or '\u2029' ? '?' : from[i];
            }
        });
}
