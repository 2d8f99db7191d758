using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Smtp;

/// <summary>Writes the header fields that the server adds (RFC 5321 4.4). What the client said is escaped.</summary>
internal static class TraceFields
{
    private const int HeloMax = 255;

    private static readonly SearchValues<char> HeloCharacters = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:[]");

    /// <summary>The name of the protocol (RFC 3848, RFC 6531 4.3).</summary>
    public static string Protocol(bool isExtended, bool hasTls, bool isAuthenticated, bool isUtf8) =>
        (isExtended || isUtf8, isUtf8, hasTls, isAuthenticated) switch
        {
            (false, _, _, _) => "SMTP",
            (_, false, false, false) => "ESMTP",
            (_, false, true, false) => "ESMTPS",
            (_, false, false, true) => "ESMTPA",
            (_, false, true, true) => "ESMTPSA",
            (_, true, false, false) => "UTF8SMTP",
            (_, true, true, false) => "UTF8SMTPS",
            (_, true, false, true) => "UTF8SMTPA",
            (_, true, true, true) => "UTF8SMTPSA",
        };

    /// <summary>A Received field, folded, with its CRLF.</summary>
    /// <param name="helo">What the client called itself; any text.</param>
    /// <param name="client">Its address.</param>
    /// <param name="hostname">Our name.</param>
    /// <param name="protocol">From <see cref="Protocol"/>.</param>
    /// <param name="id">The message's.</param>
    /// <param name="recipient">The one recipient, or null.</param>
    /// <param name="time">When it was received.</param>
    public static byte[] Received(
        string helo, IPAddress client, string hostname, string protocol, QueueId id, string? recipient, DateTimeOffset time)
    {
        var literal = client.AddressFamily == AddressFamily.InterNetworkV6 ? "IPv6:" : string.Empty;
        var text = recipient is null
            ? $"Received: from {Name(helo)} ([{literal}{client}])\r\n\tby {hostname} with {protocol} id {id};\r\n\t"
            : $"Received: from {Name(helo)} ([{literal}{client}])\r\n\tby {hostname} with {protocol} id {id}\r\n\tfor <{recipient}>;\r\n\t";
        var buffer = new byte[Encoding.UTF8.GetByteCount(text) + DateLength + 2];
        var length = Encoding.UTF8.GetBytes(text, buffer);
        length += WriteDate(time, buffer.AsSpan(length));
        "\r\n"u8.CopyTo(buffer.AsSpan(length));
        return buffer;
    }

    /// <summary>The fields that a submission lacks (RFC 6409 8.1, 8.2), with their CRLFs; empty if none.</summary>
    public static byte[] Missing(bool needsMessageId, bool needsDate, QueueId id, string hostname, DateTimeOffset time)
    {
        var messageId = needsMessageId ? $"Message-ID: <{id}@{hostname}>\r\n" : string.Empty;
        if (!needsDate)
        {
            return Encoding.ASCII.GetBytes(messageId);
        }

        Span<byte> date = stackalloc byte[DateLength];
        WriteDate(time, date);
        return Encoding.ASCII.GetBytes($"Date: {Encoding.ASCII.GetString(date)}\r\n{messageId}");
    }

    private const int DateLength = 31;

    /// <summary>"Mon, 23 Nov 2026 00:00:00 +0000" (RFC 5322 3.3).</summary>
    private static int WriteDate(DateTimeOffset time, Span<byte> destination)
    {
        var fits = time.ToUniversalTime().TryFormat(destination, out var written, "ddd, dd MMM yyyy HH:mm:ss", CultureInfo.InvariantCulture);
        Invariant.Check(fits && written + 6 == DateLength, "a date has its fixed length");
        " +0000"u8.CopyTo(destination[written..]);
        return DateLength;
    }

    private static string Name(string helo)
    {
        if (helo.Length == 0)
        {
            return "unknown";
        }

        var kept = helo.Length <= HeloMax ? helo : helo[..HeloMax];
        if (!kept.AsSpan().ContainsAnyExcept(HeloCharacters))
        {
            return kept;
        }

        return string.Create(kept.Length, kept, static (target, source) =>
        {
            for (var i = 0; i < target.Length; i++)
            {
                target[i] = HeloCharacters.Contains(source[i]) ? source[i] : '?';
            }
        });
    }
}
