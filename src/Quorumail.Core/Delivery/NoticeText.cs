using System.Globalization;
using System.Text;

namespace Quorumail.Core.Delivery;

/// <summary>The part of a notice that people read.</summary>
internal static class NoticeText
{
    private const int Width = 76;

    public static string Subject(NoticePlan plan) => plan.Kind switch
    {
        NoticeKind.Failure => "Undelivered mail",
        NoticeKind.Delay => "Delayed mail (still being tried)",
        _ => "Delivered mail",
    };

    public static string Write(NoticePlan plan, NoticeContext context)
    {
        var text = new StringBuilder();
        Paragraph(text, $"This is the mail server {context.HostName}.", "");
        text.Append("\r\n");
        Paragraph(text, Explanation(plan, context), "");
        foreach (var recipient in plan.Recipients)
        {
            text.Append("\r\n");
            Paragraph(text, $"<{plan.Original.Recipients[recipient.Result.Recipient].Envelope.Address}>", "");
            var hop = recipient.Result.NextHop.Length > 0 ? $"{recipient.Result.NextHop} said: " : "";
            Paragraph(text, hop + (recipient.Result.Reply.Length > 0 ? recipient.Result.Reply : recipient.Result.EnhancedCode), "    ");
        }

        return text.ToString();
    }

    private static string Explanation(NoticePlan plan, NoticeContext context) => plan.Kind switch
    {
        NoticeKind.Failure =>
            "Your message could not be delivered to the recipients below, and will not be tried again. "
            + "The answer of the receiving server follows each address.",
        NoticeKind.Delay =>
            "Your message could not be delivered to the recipients below yet. There is nothing that you need to do: "
            + $"it will be tried until {Until(context.ExpiresAt)} UTC, and you will hear if that fails.",
        _ => plan.Recipients.Any(static r => string.Equals(r.Action, "relayed", StringComparison.Ordinal))
            ? "Your message was handed on for the recipients below. The server that took it does not report what becomes of it."
            : "Your message was delivered to the recipients below.",
    };

    private static string Until(long unixMilliseconds) =>
        DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(unixMilliseconds, 0, 253_402_300_799_999))
            .ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);

    /// <summary>Wraps at blanks; a longer word is broken, so that no line comes near the limit of 998 octets.</summary>
    private static void Paragraph(StringBuilder text, string words, string indent)
    {
        var line = new StringBuilder(indent);
        foreach (var word in ReplyText.Clean(words, 2000).Split(' '))
        {
            if (line.Length > indent.Length && line.Length + 1 + word.Length > Width)
            {
                text.Append(line).Append("\r\n");
                line.Clear().Append(indent);
            }

            if (line.Length > indent.Length)
            {
                line.Append(' ');
            }

            foreach (var rune in word.EnumerateRunes())
            {
                if (line.Length >= 200)
                {
                    text.Append(line).Append("\r\n");
                    line.Clear().Append(indent);
                }

                line.Append(rune.ToString());
            }
        }

        text.Append(line).Append("\r\n");
    }
}
