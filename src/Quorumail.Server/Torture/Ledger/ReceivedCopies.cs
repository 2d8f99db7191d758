using System.Text;
using System.Text.RegularExpressions;
using Quorumail.Server.Torture.Load;

namespace Quorumail.Server.Torture.Ledger;

/// <summary>Turns delivered octets into entries of the ledger.</summary>
internal static partial class ReceivedCopies
{
    private static readonly string[] Folders = ["new", "cur"];

    /// <summary>One entry for one recipient of what was delivered by SMTP or found in a file.</summary>
    /// <param name="content">The octets without dot-stuffing.</param>
    /// <param name="recipient">For whom.</param>
    /// <param name="lineEnd">What ends a line there: CRLF on the wire; some mail stores keep LF.</param>
    public static DeliveredCopy Read(ReadOnlySpan<byte> content, string recipient, string lineEnd = "\r\n")
    {
        if (lineEnd != "\r\n")
        {
            content = Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(content).Replace(lineEnd, "\r\n", StringComparison.Ordinal));
        }

        var isOurs = TestMessage.TryRecognise(content, out var id, out var isIntact);
        return new DeliveredCopy(isOurs ? id : "", QueueIdOf(content), recipient, isIntact && !HasBareLineEnd(content) && HasOneMessageId(content));
    }

    /// <summary>The copies that lie in a Maildir's new and cur.</summary>
    public static IReadOnlyList<DeliveredCopy> ReadMaildir(string maildir, string recipient) =>
        [.. Files(maildir).Select(file => Read(File.ReadAllBytes(file), recipient, LineEndOf(file)))];

    /// <summary>The messages of a Maildir.</summary>
    public static IEnumerable<string> Files(string maildir) =>
        Folders.Select(name => Path.Combine(maildir, name)).Where(Directory.Exists).SelectMany(Directory.EnumerateFiles);

    private static string LineEndOf(string file)
    {
        var head = File.ReadLines(file, Encoding.Latin1).Take(1).FirstOrDefault() ?? "";
        using var stream = File.OpenRead(file);
        stream.Position = head.Length;
        return stream.ReadByte() == '\r' ? "\r\n" : "\n";
    }

    /// <summary>The queue id in the topmost Received: header; empty if there is none.</summary>
    public static string QueueIdOf(ReadOnlySpan<byte> content)
    {
        var head = Encoding.Latin1.GetString(content[..Math.Min(content.Length, 2048)]);
        return ReceivedId().Match(head) is { Success: true } match ? match.Groups["id"].Value : "";
    }

    private static bool HasBareLineEnd(ReadOnlySpan<byte> content)
    {
        for (var i = 0; i < content.Length; i++)
        {
            if ((content[i] == '\n' && (i == 0 || content[i - 1] != '\r'))
                || (content[i] == '\r' && (i + 1 == content.Length || content[i + 1] != '\n')))
            {
                return true;
            }
        }

        return false;
    }

    private static bool HasOneMessageId(ReadOnlySpan<byte> content)
    {
        var end = content.IndexOf("\r\n\r\n"u8);
        var header = Encoding.Latin1.GetString(end < 0 ? content : content[..end]);
        return MessageIdHeader().Count(header) == 1;
    }

    [GeneratedRegex(@"^Received:[^\n]*(?:\n[ \t][^\n]*)*?\sid (?<id>[0-9A-HJKMNP-TV-Z]{16})\b", RegexOptions.Multiline, 1000)]
    private static partial Regex ReceivedId();

    [GeneratedRegex("^Message-ID:", RegexOptions.Multiline | RegexOptions.IgnoreCase, 1000)]
    private static partial Regex MessageIdHeader();
}
