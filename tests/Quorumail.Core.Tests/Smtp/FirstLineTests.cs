using System.Text;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Core.Smtp.Authentication;

namespace Quorumail.Core.Tests.Smtp;

/// <summary>Messages without a header section, and those that only look as if they had none.</summary>
public sealed class FirstLineTests
{
    private const string Time = "Mon, 23 Nov 2026 01:02:03 +0000\r\n";
    private const string Added = "Date: " + Time + "Message-ID: <0000000004000001@mx.test>\r\n";

    [Theory]
    [InlineData("Hello\r\n")]
    [InlineData("Hello world: here\r\n\r\nmore\r\n")]
    [InlineData(" folded: text\r\n")]
    [InlineData("\tx\r\n")]
    [InlineData(": nameless\r\n")]
    [InlineData("http//example.test\r\nSubject: x\r\n\r\nbody\r\n")]
    [InlineData("From here to there\r\n")]
    [InlineData("Gr\u00fc\u00dfe: an alle\r\n")]
    [InlineData("Dear all,\r\nthis: is not a header\r\nReceived: nor this\r\n\r\nbye\r\n")]
    [InlineData("-\r\n")]
    public void A_message_without_a_header_section_gets_an_empty_line_before_it(string message)
    {
        Assert.All(SentInPieces(SmtpRole.Mx, message), body => Assert.EndsWith(Time + "\r\n" + message, body, StringComparison.Ordinal));
        Assert.All(SentInPieces(SmtpRole.Submission, message), body => Assert.EndsWith(Time + Added + "\r\n" + message, body, StringComparison.Ordinal));
    }

    [Fact]
    public void No_colon_within_two_hundred_octets_is_no_field()
    {
        var line = new string('x', 199) + ": y\r\n";
        Assert.All(SentInPieces(SmtpRole.Mx, line), body => Assert.EndsWith(Time + line, body, StringComparison.Ordinal));
        line = "x" + line;
        Assert.All(SentInPieces(SmtpRole.Mx, line), body => Assert.EndsWith(Time + "\r\n" + line, body, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Subject: x\r\n\r\nHello\r\n")]
    [InlineData("subject \t:x\r\n\r\n")]
    [InlineData("x:\r\n")]
    [InlineData("\r\nHello\r\n")]
    [InlineData("From joe@x.test Mon Nov 23 01:02:03 2026\r\nSubject: x\r\n\r\n")]
    [InlineData(">From joe@x.test Mon Nov 23 01:02:03 2026\r\nSubject: x\r\n\r\n")]
    [InlineData("Subject: x\r\nno field\r\n")]
    [InlineData("")]
    public void Octets_of_a_message_with_one_stay_as_they_came(string message) =>
        Assert.All(SentInPieces(SmtpRole.Mx, message), body => Assert.EndsWith(Time + message, body, StringComparison.Ordinal));

    [Fact]
    public void Eight_bit_text_without_a_header_section_needs_no_SMTPUTF8_on_its_way()
    {
        var host = Ready(SmtpRole.Mx);
        host.Line("DATA").Feed("Gr\u00fc\u00dfe\r\n.\r\n");
        Assert.Equal(BodyTraits.EightBit, Assert.Single(host.Messages).Traits);
    }

    [Theory]
    [InlineData("BDAT 5 LAST\r\nHello", Added + "\r\nHello")]
    [InlineData("BDAT 2\r\nHeBDAT 3 LAST\r\nllo", Added + "\r\nHello")]
    [InlineData("BDAT 5\r\nHelloBDAT 0 LAST\r\n", Added + "\r\nHello")]
    [InlineData("BDAT 10 LAST\r\nSubject: x", "Subject: x\r\n" + Added)]
    [InlineData("BDAT 12 LAST\r\nSubject: x\r\n", "Subject: x\r\n" + Added)]
    [InlineData("BDAT 7 LAST\r\nDate: x", "Date: x\r\nMessage-ID: <0000000004000001@mx.test>\r\n")]
    [InlineData("BDAT 0 LAST\r\n", Added)]
    public void Chunks_may_lack_the_end_of_their_last_line(string octets, string body)
    {
        var host = Ready(SmtpRole.Submission);
        host.Feed(octets);
        Assert.EndsWith(Time + body, Assert.Single(host.Messages).Body, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_held_of_a_message_goes_with_it_when_it_is_refused()
    {
        var host = Ready(SmtpRole.Mx);
        host.Line("DATA").Feed("Hello");
        host.Feed("\rworld\r\n.\r\n");
        Assert.StartsWith("550 5.6.11", host.LastReply, StringComparison.Ordinal);
        host.Line("MAIL FROM:<>", "RCPT TO:<a@b>", "DATA").Feed("x: y\r\n.\r\n");
        Assert.EndsWith(Time + "x: y\r\n", Assert.Single(host.Messages).Body, StringComparison.Ordinal);
    }

    private static SessionHost Ready(SmtpRole role)
    {
        var host = new SessionHost(role, hasTls: role == SmtpRole.Submission)
        {
            FindHash = _ => PasswordHash.Create("p", "01234567"u8, PasswordHash.IterationsMin),
        }.Line("EHLO x");
        if (role == SmtpRole.Submission)
        {
            host.Line("AUTH PLAIN AHUAcA==");
        }

        return host.Line("MAIL FROM:<>", "RCPT TO:<a@b>");
    }

    /// <summary>What is stored of a message that comes whole, in two pieces cut anywhere, and octet by octet.</summary>
    private static IEnumerable<string> SentInPieces(SmtpRole role, string message)
    {
        var octets = Encoding.Latin1.GetBytes(message);
        for (var cut = 0; cut <= octets.Length; cut++)
        {
            var host = Ready(role).Line("DATA");
            host.Feed(octets[..cut]);
            host.Feed(octets[cut..]);
            host.Feed(".\r\n");
            yield return Assert.Single(host.Messages).Body;
        }

        var slow = Ready(role).Line("DATA");
        foreach (var octet in octets)
        {
            slow.Feed([octet]);
        }

        slow.Feed(".\r\n");
        yield return Assert.Single(slow.Messages).Body;
    }
}
