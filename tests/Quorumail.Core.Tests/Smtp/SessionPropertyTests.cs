using System.Buffers;
using System.Text;
using CsCheck;
using Quorumail.Core.Delivery.Client;
using Quorumail.Core.Smtp;

namespace Quorumail.Core.Tests.Smtp;

public sealed class SessionPropertyTests
{
    private static readonly Gen<string> Command = OneOf(
        "EHLO x\r\n", "HELO y\r\n", "MAIL FROM:<a@b>\r\n", "MAIL FROM:<> BODY=8BITMIME\r\n", "RCPT TO:<c@d>\r\n", "RCPT TO:<unknown@d>\r\n",
        "RSET\r\n", "NOOP\r\n", "BDAT 3\r\na\r\n", "BDAT 3\r\na\nb", "BDAT 3 LAST\r\nx\r\n", "BDAT 0 LAST\r\n", "BDAT 12\r\nQUIT\r\nQUIT\r\n", "BDAT 3 NOT\r\nx\r\n", "BDAT x\r\n", "BDAT 1\r\n:", "BDAT 4\r\ny: z",
        "VRFY z\r\n", "NOOP\n", "x\rNOOP\r\n", "XYZZY\r\n", "STARTTLS\r\n");

    private static readonly Gen<string> MessagePart = OneOf(
        "x: y\r\n", "Received: z\r\n", "\r\n", ".\r", ".", "..", ".x", "\r", "\n", "text", "\0", "\u00e4", ".\n", "\r\n.\rx", "\r\n..\r\n", "long line\r\n",
        "From a 1:2\r\n", "x y: z\r\n", "name", " : ", ":");

    private static Gen<string> OneOf(params string[] texts) => Gen.Int[0, texts.Length - 1].Select(i => texts[i]);

    [Fact]
    public void Any_split_of_the_octets_gives_the_same_steps() =>
        Gen.Select(Command.Array[1, 20], MessagePart.Array[0, 30], Gen.Int[1, 40], Gen.Bool, Gen.Bool).Sample((commands, parts, length, normalizes, submission) =>
        {
            var message = string.Concat(parts) + "\r\n.\r\n";
            var whole = Run(commands, message, int.MaxValue, normalizes, submission);
            var split = Run(commands, message, length, normalizes, submission);
            return whole.SequenceEqual(split);
        });

    [Fact]
    public void A_250_for_a_message_comes_only_after_its_commit() =>
        Gen.Select(Command.Array[1, 30], MessagePart.Array[0, 10], Gen.Bool.Array[20]).Sample((commands, parts, outcomes) =>
        {
            var next = 0;
            var host = new SessionHost { Commit = () => outcomes[next++ % 20] };
            host.Feed(string.Concat(commands));
            if (!host.IsClosed)
            {
                host.Line("RSET", "EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA");
                host.Feed(string.Concat(parts) + "\r\n.\r\n");
            }

            for (var i = 0; i < host.Steps.Count; i++)
            {
                if (host.Steps[i].Contains("queued as", StringComparison.Ordinal) && (i < 2 || host.Steps[i - 2] != "commit"))
                {
                    return false;
                }
            }

            return host.Steps.Count(step => step.Contains("queued as", StringComparison.Ordinal)) == host.Messages.Count;
        });

    [Fact]
    public void What_is_dot_stuffed_reads_back_the_same() =>
        Gen.Select(MessagePart.Array[0, 30], Gen.Int[1, 20], Gen.Int[1, 20]).Sample((parts, writeLength, readLength) =>
        {
            // What is stored has no bare CR or LF.
            var text = string.Concat(parts).Replace("\0", string.Empty, StringComparison.Ordinal)
                .Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n').Replace("\n", "\r\n", StringComparison.Ordinal);
            var stuffer = new DotStuffer();
            var wire = new ArrayBufferWriter<byte>();
            foreach (var part in Encoding.Latin1.GetBytes(text).Chunk(writeLength))
            {
                Assert.True(stuffer.TryWrite(part, wire));
            }

            Assert.True(stuffer.TryEndLine(wire));
            wire.Write(".\r\n"u8);
            var reader = new MessageReader(SmtpLimits.Default, normalizesLineEnds: false, reportsHeaderEnd: false);
            reader.StartData();
            var body = new List<byte>();
            var input = Segments.Of(wire.WrittenSpan.ToArray(), readLength);
            var isEnd = false;
            while (!isEnd)
            {
                var found = reader.Read(input.FirstSpan, out var used, out var piece);
                input = input.Slice(used);
                body.AddRange(piece);
                isEnd = found == MessageRead.End;
                Assert.True(isEnd || !input.IsEmpty, "the final dot line was not found");
            }

            Assert.Equal(0, input.Length);
            Assert.Equal(MessageFault.None, reader.Fault);
            Assert.Equal(Canonical(text), Encoding.Latin1.GetString([.. body]));
        });

    private static string Canonical(string text)
    {
        var whole = text.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n').Replace("\n", "\r\n", StringComparison.Ordinal);
        return whole.Length == 0 || whole.EndsWith("\r\n", StringComparison.Ordinal) ? whole : whole + "\r\n";
    }

    private static List<string> Run(string[] commands, string message, int splitLength, bool normalizes, bool submission)
    {
        var limits = new SmtpLimits { ReceivedFieldsMax = 3, TextLineMax = 40, HeaderSizeMax = 100, MessageSizeMax = 300 };
        var host = new SessionHost(submission ? SmtpRole.Submission : SmtpRole.Mx, limits, normalizes, hasTls: submission)
        {
            FindHash = _ => Quorumail.Core.Smtp.Authentication.PasswordHash.Create("p", "01234567"u8, 4096),
        };
        if (submission)
        {
            host.Line("EHLO x", "AUTH PLAIN AHUAcA==");
        }

        // What is buffered behind STARTTLS is thrown away, which is the point of it: so one command at a time.
        foreach (var command in commands)
        {
            Feed(host, command, splitLength);
        }

        Feed(host, "RSET\r\nEHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", splitLength);
        Feed(host, "DATA\r\n", splitLength);
        Feed(host, message, splitLength);
        Feed(host, "NOOP\r\n", splitLength);
        return host.Steps.Where(step => step != "discard").ToList();
    }

    private static void Feed(SessionHost host, string octets, int splitLength)
    {
        foreach (var part in Encoding.Latin1.GetBytes(octets).Chunk(Math.Min(splitLength, Math.Max(1, octets.Length))))
        {
            host.Feed(part);
        }
    }
}
