using System.Buffers;
using System.Globalization;
using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Delivery;

/// <summary>
/// Writes delivery status notifications: multipart/report with a text for people, message/delivery-status (RFC 3464) and the
/// original's header section or, if it was asked for, the whole original. Non-ASCII addresses follow RFC 6533. The same input
/// gives the same octets.
/// </summary>
public static class NoticeComposer
{
    private const int MaxLine = 998;
    private const int FoldAt = 76;

    /// <summary>Composes a notice.</summary>
    /// <param name="plan">What to say to whom.</param>
    /// <param name="context">Where and when.</param>
    /// <param name="original">
    /// The start of the original message, <see cref="NoticePlan.WantedOctets"/> of it; empty if the body can't be read any more,
    /// so that the notice goes out without it.
    /// </param>
    public static ComposedNotice Compose(NoticePlan plan, NoticeContext context, ReadOnlySpan<byte> original)
    {
        var part = NoticeOriginal.Of(plan, original);
        var text = NoticeText.Write(plan, context);
        var boundary = Boundary(plan.Id, part.Content);
        var header = Header(plan, context, boundary);
        var output = new ArrayBufferWriter<byte>(2048 + part.Content.Length);
        Put(output, header);
        Put(output, "This is a message in MIME format.\r\n\r\n");
        Put(output, $"--{boundary}\r\nContent-Type: text/plain; charset={(Ascii.IsValid(text) ? "us-ascii" : "utf-8")}\r\n");
        Put(output, $"Content-Transfer-Encoding: {(Ascii.IsValid(text) ? "7bit" : "8bit")}\r\n\r\n{text}\r\n");
        Put(output, $"--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n");
        Put(output, Status(plan, context));
        if (part.Content.Length > 0)
        {
            Put(output, $"\r\n--{boundary}\r\nContent-Type: {part.Type}\r\n");
            Put(output, $"Content-Transfer-Encoding: {(part.IsEightBit ? "8bit" : "7bit")}\r\n\r\n");
            output.Write(part.Content);
        }

        Put(output, $"\r\n--{boundary}--\r\n");
        return new ComposedNotice(output.WrittenSpan.ToArray(), Traits(output.WrittenSpan, header));
    }

    private static string Header(NoticePlan plan, NoticeContext context, string boundary)
    {
        var host = Name(context.HostName);
        var header = new StringBuilder();
        header.Append(CultureInfo.InvariantCulture, $"From: Mail Delivery System <MAILER-DAEMON@{host}>\r\n");
        header.Append(CultureInfo.InvariantCulture, $"To: <{Name(plan.Original.ReversePath)}>\r\n");
        header.Append("Subject: ").Append(NoticeText.Subject(plan)).Append("\r\n");
        header.Append(CultureInfo.InvariantCulture, $"Date: {Date(context.Now)}\r\n");
        header.Append(CultureInfo.InvariantCulture, $"Message-ID: <{plan.Id}@{host}>\r\n");
        header.Append("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
        header.Append("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"");
        return header.Append(boundary).Append("\"\r\n\r\n").ToString();
    }

    private static string Status(NoticePlan plan, NoticeContext context)
    {
        var status = new StringBuilder();
        Field(status, "Reporting-MTA", $"dns; {Name(context.HostName)}");
        if (plan.Original.EnvelopeId is { Length: > 0 } envelopeId)
        {
            Field(status, "Original-Envelope-Id", Xtext.Decode(envelopeId));
        }

        Field(status, "Arrival-Date", Date(plan.Original.EnqueuedAt));
        foreach (var recipient in plan.Recipients)
        {
            status.Append("\r\n");
            Recipient(status, plan, recipient, context);
        }

        return status.ToString();
    }

    private static void Recipient(StringBuilder status, NoticePlan plan, NoticeRecipient recipient, NoticeContext context)
    {
        var result = recipient.Result;
        var envelope = plan.Original.Recipients[result.Recipient].Envelope;
        if (envelope.OriginalRecipient is { Length: > 0 } original)
        {
            Field(status, "Original-Recipient", Xtext.Decode(original));
        }

        Field(status, "Final-Recipient", FinalRecipient(envelope.Address));
        Field(status, "Action", recipient.Action);
        Field(status, "Status", result.EnhancedCode);
        var remote = result.NextHop.Split('[')[0];
        if (remote.Length > 0)
        {
            Field(status, "Remote-MTA", $"dns; {remote}");
        }

        if (result.Reply.Length > 0)
        {
            Field(status, "Diagnostic-Code", $"{(StartsWithCode(result.Reply) ? "smtp" : "x-quorumail")}; {result.Reply}");
        }

        Field(status, "Last-Attempt-Date", Date(context.Now));
        if (plan.Kind == NoticeKind.Delay)
        {
            Field(status, "Will-Retry-Until", Date(context.ExpiresAt));
        }
    }

    /// <summary>RFC 6533 3: a non-ASCII address in its 7-bit form, utf-8 with \x{…}.</summary>
    private static string FinalRecipient(string address)
    {
        if (Ascii.IsValid(address))
        {
            return $"rfc822; {address}";
        }

        var escaped = new StringBuilder("utf-8; ");
        foreach (var rune in address.EnumerateRunes())
        {
            if (rune.Value is > ' ' and <= '~' and not ('\\' or '+' or '='))
            {
                escaped.Append(rune.ToString());
            }
            else
            {
                escaped.Append(CultureInfo.InvariantCulture, $"\\x{{{rune.Value:X2}}}");
            }
        }

        return escaped.ToString();
    }

    /// <summary>One field, in ASCII, folded at blanks.</summary>
    private static void Field(StringBuilder output, string name, string value)
    {
        var line = new StringBuilder(name).Append(':');
        foreach (var word in ReplyText.Clean(value, 2000).Split(' '))
        {
            if (line.Length > name.Length + 1 && line.Length + 1 + word.Length > FoldAt)
            {
                output.Append(line).Append("\r\n");
                line.Clear();
            }

            line.Append(' ');
            foreach (var c in word)
            {
                // One word of a hostile reply may be longer than a line.
                if (line.Length >= MaxLine - 2)
                {
                    output.Append(line).Append("\r\n");
                    line.Clear().Append(' ');
                }

                line.Append(c is > ' ' and <= '~' ? c : '?');
            }
        }

        output.Append(line).Append("\r\n");
    }

    private static bool StartsWithCode(string reply) =>
        reply.Length >= 3 && reply[0] is >= '2' and <= '5' && char.IsAsciiDigit(reply[1]) && char.IsAsciiDigit(reply[2])
        && (reply.Length == 3 || reply[3] is ' ' or '-');

    /// <summary>A name or address that was checked when it came in; here only what would break a header is taken out.</summary>
    private static string Name(string name) => ReplyText.Clean(name, 900).Replace('<', '?').Replace('>', '?');

    private static string Date(long unixMilliseconds) =>
        DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(unixMilliseconds, 0, 253_402_300_799_999))
            .ToString("ddd, dd MMM yyyy HH:mm:ss '+0000'", CultureInfo.InvariantCulture);

    private static string Boundary(QueueId id, ReadOnlySpan<byte> content)
    {
        var boundary = $"=_{id}";
        for (var i = 0; content.IndexOf(Encoding.ASCII.GetBytes("--" + boundary)) >= 0; i++)
        {
            boundary = $"=_{id}_{i}";
        }

        return boundary;
    }

    private static BodyTraits Traits(ReadOnlySpan<byte> body, string header)
    {
        var traits = Ascii.IsValid(body) ? BodyTraits.None : BodyTraits.EightBit | BodyTraits.DeclaredEightBit;
        return Ascii.IsValid(header) ? traits : traits | BodyTraits.EightBitHeaders | BodyTraits.DeclaredSmtpUtf8;
    }

    private static void Put(ArrayBufferWriter<byte> output, string text) => Encoding.UTF8.GetBytes(text, output);
}
