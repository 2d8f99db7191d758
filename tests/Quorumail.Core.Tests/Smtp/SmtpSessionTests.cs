using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;

namespace Quorumail.Core.Tests.Smtp;

public sealed class SmtpSessionTests
{
    private static SessionHost Greeted(SmtpRole role = SmtpRole.Mx, SmtpLimits? limits = null, bool hasTls = false, bool canStartTls = true) =>
        new SessionHost(role, limits, hasTls: hasTls, canStartTls: canStartTls).Line("EHLO client.example");

    [Fact]
    public void Ehlo_lists_the_extensions()
    {
        var lines = Greeted().Replies;
        Assert.Equal("220 mx.test ESMTP Quorumail", lines[0]);
        string[] expected =
        [
            "250-mx.test", "250-PIPELINING", "250-SIZE 52428800", "250-STARTTLS", "250-ENHANCEDSTATUSCODES",
            "250-8BITMIME", "250-DSN", "250-SMTPUTF8", "250 CHUNKING",
        ];
        Assert.Equal(expected, lines[1..]);
    }

    [Fact]
    public void Without_a_certificate_STARTTLS_is_not_offered()
    {
        var host = Greeted(canStartTls: false);
        Assert.DoesNotContain("STARTTLS", host.Output.ToString(), StringComparison.Ordinal);
        Assert.StartsWith("502 5.5.1", host.Ask("STARTTLS"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_message_is_committed_then_answered()
    {
        var host = Greeted().Line("MAIL FROM:<a@b.example> SIZE=10", "RCPT TO:<c@d.example>", "DATA", "Subject: x", "", "..dot", ".", "QUIT");
        var (envelope, body, _) = Assert.Single(host.Messages);
        Assert.Equal("a@b.example", envelope.ReversePath);
        Assert.Equal("c@d.example", Assert.Single(envelope.Recipients).Address);
        Assert.Equal(
            "Received: from client.example ([192.0.2.1])\r\n\tby mx.test with ESMTP id 0000000004000001\r\n\tfor <c@d.example>;\r\n\t"
            + "Mon, 23 Nov 2026 01:02:03 +0000\r\nSubject: x\r\n\r\n.dot\r\n",
            body);
        Assert.Equal(
            ["250 2.1.0 Sender OK", "250 2.1.5 Recipient OK", "354 End data with <CR><LF>.<CR><LF>", "250 2.0.0 queued as 0000000004000001", "221 2.0.0 Bye"],
            host.Replies[^5..]);
        Assert.True(host.IsClosed);
    }

    [Fact]
    public void Received_names_no_recipient_when_there_are_several()
    {
        var host = Greeted().Line("MAIL FROM:<>", "RCPT TO:<c@d.example>", "RCPT TO:<e@d.example>", "DATA", "x: y", ".");
        Assert.DoesNotContain("for <", Assert.Single(host.Messages).Body, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recipient_named_twice_is_delivered_once()
    {
        var host = Greeted().Line("MAIL FROM:<>", "RCPT TO:<c@d.example>", "RCPT TO:<c@d.example>", "DATA", "x: y", ".");
        Assert.Single(Assert.Single(host.Messages).Envelope.Recipients);
    }

    [Theory]
    [InlineData("MAIL FROM:<a@b> BODY=BINARYMIME", "555 5.5.4")]
    [InlineData("MAIL FROM:<a@b> FOO=BAR", "555 5.5.4")]
    [InlineData("MAIL FROM:<a@b> SIZE=99999999999", "552 5.3.4")]
    [InlineData("MAIL FROM:<a@b> SIZE=99999999999999999999", "552 5.3.4")]
    [InlineData("MAIL FROM:<a@b> SIZE=1 SIZE=1", "501 5.5.4")]
    [InlineData("MAIL FROM:<a@b> SIZE=-1", "501 5.5.4")]
    [InlineData("MAIL FROM:<a@b>SIZE=1", "501 5.5.4")]
    [InlineData("MAIL FROM:a@b", "501 5.1.7")]
    [InlineData("MAIL FROM:<ä@b.example>", "553 5.6.7")]
    [InlineData("MAIL FROM:<ä@b.example> SMTPUTF8", "250 2.1.0")]
    [InlineData("MAIL FROM:<> RET=FULL ENVID=a+2Bb AUTH=<> BODY=8BITMIME", "250 2.1.0")]
    [InlineData("MAIL FROM:<> ENVID=a+b", "501 5.5.4")]
    [InlineData("MAIL FROM:<> RET=X", "501 5.5.4")]
    [InlineData("mail from: <a@b>", "250 2.1.0")]
    [InlineData("RCPT TO:<a@b>", "503 5.5.1")]
    [InlineData("DATA", "503 5.5.1")]
    [InlineData("VRFY root", "252 2.5.0")]
    [InlineData("VRFY nobody-at-all", "252 2.5.0")]
    [InlineData("EXPN list", "502 5.5.1")]
    [InlineData("NOOP anything", "250 2.0.0")]
    [InlineData("HELP", "214 2.0.0")]
    [InlineData("RSET", "250 2.0.0")]
    [InlineData("RSET x", "501 5.5.4")]
    [InlineData("AUTH PLAIN AAA=", "502 5.5.1")]
    [InlineData("", "500 5.5.1")]
    [InlineData("XYZZY", "500 5.5.1")]
    [InlineData("EHLO", "501 5.5.4")]
    [InlineData("PROXY TCP4 1.2.3.4 1.2.3.4 1 2", "500 5.5.1")]
    public void A_command_has_its_reply(string command, string reply) =>
        Assert.StartsWith(reply, Greeted().Ask(command), StringComparison.Ordinal);

    [Theory]
    [InlineData("RCPT TO:<unknown@b>", "550 5.1.1")]
    [InlineData("RCPT TO:<postmaster>", "250 2.1.5")]
    [InlineData("RCPT TO:<>", "501 5.1.3")]
    [InlineData("RCPT TO:<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bc@b", "250 2.1.5")]
    [InlineData("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4")]
    [InlineData("RCPT TO:<a@b> ORCPT=a@b", "501 5.5.4")]
    [InlineData("RCPT TO:<a@b> SIZE=1", "555 5.5.4")]
    [InlineData("MAIL FROM:<a@b>", "503 5.5.1")]
    [InlineData("STARTTLS", "503 5.5.1")]
    [InlineData("DATA", "503 5.5.1")]
    public void A_command_in_a_transaction_has_its_reply(string command, string reply) =>
        Assert.StartsWith(reply, Greeted().Line("MAIL FROM:<x@y>").Ask(command), StringComparison.Ordinal);

    [Fact]
    public void Data_without_a_valid_recipient_is_554() =>
        Assert.StartsWith("554 5.5.1", Greeted().Line("MAIL FROM:<x@y>", "RCPT TO:<unknown@b>").Ask("DATA"), StringComparison.Ordinal);

    [Fact]
    public void Mail_before_hello_is_503() =>
        Assert.StartsWith("503 5.5.1", new SessionHost().Ask("MAIL FROM:<x@y>"), StringComparison.Ordinal);

    [Fact]
    public void Too_many_recipients_are_452_and_the_others_get_the_message()
    {
        var host = Greeted(limits: new SmtpLimits { RecipientsMax = 2 }).Line("MAIL FROM:<>", "RCPT TO:<a@b>", "RCPT TO:<c@b>");
        Assert.StartsWith("452 4.5.3", host.Ask("RCPT TO:<d@b>"), StringComparison.Ordinal);
        host.Line("DATA", ".");
        Assert.Equal(2, Assert.Single(host.Messages).Envelope.Recipients.Count);
    }

    [Fact]
    public void Twenty_errors_are_421()
    {
        var host = Greeted();
        for (var i = 0; i < 19; i++)
        {
            Assert.StartsWith("500", host.Ask("XYZZY"), StringComparison.Ordinal);
        }

        Assert.StartsWith("421 4.7.0", host.Ask("XYZZY"), StringComparison.Ordinal);
        Assert.True(host.IsClosed);
    }

    [Fact]
    public void Refusals_for_now_are_errors_too_so_that_no_client_loops_for_ever()
    {
        var host = Greeted();
        host.CheckSender = () => SmtpReplies.TooManyMessages;
        for (var i = 0; i < 19; i++)
        {
            Assert.StartsWith("451", host.Ask("MAIL FROM:<>"), StringComparison.Ordinal);
        }

        Assert.StartsWith("421 4.7.0", host.Ask("MAIL FROM:<>"), StringComparison.Ordinal);
        Assert.True(host.IsClosed);
    }

    [Fact]
    public void A_client_with_more_recipients_than_a_message_may_have_is_spared_up_to_a_bound()
    {
        var limits = new SmtpLimits { RecipientsMax = 2, DeferredRecipientsMax = 50 };
        var host = Greeted(limits: limits).Line("MAIL FROM:<>", "RCPT TO:<a@b>", "RCPT TO:<c@b>");
        Defer(50);
        Assert.StartsWith("354", host.Ask("DATA"), StringComparison.Ordinal);
        Assert.StartsWith("250", host.Ask("."), StringComparison.Ordinal);
        host.Line("MAIL FROM:<>", "RCPT TO:<a@b>", "RCPT TO:<c@b>");
        Defer(50 + 19);
        Assert.StartsWith("421 4.7.0", host.Ask("RCPT TO:<d@b>"), StringComparison.Ordinal);
        Assert.True(host.IsClosed);

        void Defer(int count)
        {
            for (var i = 0; i < count; i++)
            {
                Assert.StartsWith("452 4.5.3", host.Ask("RCPT TO:<d@b>"), StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Data_that_is_too_large_by_far_is_not_read_to_its_end()
    {
        var host = Greeted(limits: new SmtpLimits { MessageSizeMax = 1000 }).Line("MAIL FROM:<>", "RCPT TO:<a@b>", "DATA");
        var line = new string('x', 98) + "\r\n";
        for (var i = 0; i < 20; i++)
        {
            host.Feed(line);
        }

        Assert.StartsWith("354", host.LastReply, StringComparison.Ordinal);
        host.Feed(line);
        Assert.StartsWith("552 5.3.4", host.LastReply, StringComparison.Ordinal);
        Assert.True(host.IsClosed);
        Assert.True(host.Session.IsWithinData);
    }

    [Fact]
    public void A_command_line_is_at_most_512_octets_but_an_endless_line_closes()
    {
        var host = Greeted();
        Assert.StartsWith("500 5.5.2", host.Ask("NOOP " + new string('x', 506)), StringComparison.Ordinal);
        Assert.StartsWith("250", host.Ask("NOOP " + new string('x', 505)), StringComparison.Ordinal);
        Assert.StartsWith("500 5.5.2", host.Ask("MAIL FROM:<a@b> ENVID=" + new string('x', 3000)), StringComparison.Ordinal);
        host.Feed(new string('x', 70_000));
        Assert.StartsWith("500 5.5.2", host.LastReply, StringComparison.Ordinal);
        Assert.True(host.IsClosed);
    }

    [Theory]
    [InlineData("NOOP\n", "500 5.5.2")]
    [InlineData("NOOP\rRSET\r\n", "500 5.5.2")]
    [InlineData("NOOP \0\r\n", "500 5.5.2")]
    public void Only_CRLF_ends_a_command(string octets, string reply)
    {
        var host = Greeted();
        host.Feed(octets);
        Assert.StartsWith(reply, host.LastReply, StringComparison.Ordinal);
        Assert.Equal(11, host.Replies.Length);
    }

    [Fact]
    public void Data_sent_before_354_is_503_and_closes()
    {
        var host = Greeted().Line("MAIL FROM:<>", "RCPT TO:<a@b>");
        host.Feed("DATA\r\nSubject: early\r\n\r\n.\r\nNOOP\r\n");
        Assert.StartsWith("503 5.5.1", host.LastReply, StringComparison.Ordinal);
        Assert.True(host.IsClosed);
        Assert.Empty(host.Messages);
    }

    [Fact]
    public void What_comes_behind_STARTTLS_in_plain_is_thrown_away_and_the_session_starts_anew()
    {
        var host = Greeted();
        host.Feed("STARTTLS\r\nMAIL FROM:<evil@b>\r\nRCPT TO:<a@b>\r\n");
        Assert.StartsWith("220 2.0.0", host.LastReply, StringComparison.Ordinal);
        Assert.StartsWith("503", host.Ask("MAIL FROM:<a@b>"), StringComparison.Ordinal);
        Assert.StartsWith("503", host.Ask("STARTTLS"), StringComparison.Ordinal);
        var hello = host.Ask("EHLO again");
        Assert.DoesNotContain("STARTTLS", hello, StringComparison.Ordinal);
        host.Line("MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA", ".");
        Assert.Contains("with ESMTPS id", Assert.Single(host.Messages).Body, StringComparison.Ordinal);
    }

    [Fact]
    public void A_message_that_is_not_committed_is_answered_451()
    {
        var host = Greeted();
        host.Commit = () => false;
        Assert.StartsWith("451 4.3.2", host.Line("MAIL FROM:<>", "RCPT TO:<a@b>", "DATA", "x: y").Ask("."), StringComparison.Ordinal);
        Assert.StartsWith("250", host.Ask("MAIL FROM:<>"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_sender_can_be_refused_for_now()
    {
        var host = Greeted();
        host.CheckSender = () => SmtpReplies.StorageRefuses;
        Assert.StartsWith("452 4.3.1", host.Ask("MAIL FROM:<>"), StringComparison.Ordinal);
        host.CheckSender = () => SmtpReplies.ShuttingDown;
        Assert.StartsWith("421 4.3.2", host.Ask("MAIL FROM:<>"), StringComparison.Ordinal);
        Assert.True(host.IsClosed);
    }

    [Fact]
    public void What_the_client_calls_itself_is_escaped_in_Received()
    {
        var host = new SessionHost().Line("HELO a<b>(c)\"; d", "MAIL FROM:<>", "RCPT TO:<a@b>", "DATA", ".");
        Assert.StartsWith("Received: from a?b??c????d ([192.0.2.1])\r\n\tby mx.test with SMTP id", Assert.Single(host.Messages).Body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a\nb\r\n.\r\n", "550 5.6.11")]
    [InlineData("a\r\n.\nNOOP\r\n.\r\n", "550 5.6.11")]
    [InlineData("a\n.\nNOOP\r\n.\r\n", "550 5.6.11")]
    [InlineData("a\n.\r\nNOOP\r\n.\r\n", "550 5.6.11")]
    [InlineData("a\r.\rNOOP\r\n.\r\n", "550 5.6.11")]
    [InlineData("a\r\n.\rNOOP\r\n.\r\n", "550 5.6.11")]
    [InlineData("a\r\n\0.\r\nNOOP\r\n.\r\n", "550 5.6.11")]
    [InlineData("a\u0085.\u0085NOOP\v.\vNOOP\f.\fNOOP\r\n.\r\n", "250 2.0.0")]
    public void Only_CRLF_dot_CRLF_ends_a_message_cve_2023_51764(string octets, string reply)
    {
        var host = Greeted().Line("MAIL FROM:<>", "RCPT TO:<a@b>", "DATA");
        var before = host.Replies.Length;
        host.Feed("x: y\r\n\r\n" + octets);
        Assert.Equal(before + 1, host.Replies.Length);
        Assert.StartsWith(reply, host.LastReply, StringComparison.Ordinal);
        Assert.Equal(reply[0] == '2' ? 1 : 0, host.Messages.Count);
        Assert.StartsWith("250", host.Ask("NOOP"), StringComparison.Ordinal);
    }

    [Fact]
    public void Normalizing_makes_bare_line_ends_whole_and_still_ends_only_at_the_true_end()
    {
        var host = new SessionHost(normalizes: true).Line("EHLO x", "MAIL FROM:<>", "RCPT TO:<a@b>", "DATA");
        host.Feed("x: y\n\nbare\n.\nlf\n.\r\ncr\r.\rx\r\n.\r\n");
        Assert.EndsWith("\r\nx: y\r\n\r\nbare\r\n.\r\nlf\r\n.\r\ncr\r\n.\r\nx\r\n", Assert.Single(host.Messages).Body, StringComparison.Ordinal);
    }

    [Fact]
    public void Limits_of_the_message_are_told_after_its_true_end()
    {
        var limits = new SmtpLimits { MessageSizeMax = 3000, HeaderSizeMax = 200, ReceivedFieldsMax = 2, TextLineMax = 100 };
        Assert.StartsWith("552 5.3.4 Message size", Send(limits, "x: y\r\n\r\n" + string.Concat(Enumerable.Repeat("0123456789\r\n", 300))), StringComparison.Ordinal);
        Assert.StartsWith("552 5.3.4 Message header", Send(limits, string.Concat(Enumerable.Repeat("x: y\r\n", 50))), StringComparison.Ordinal);
        Assert.StartsWith("554 5.4.6", Send(limits, string.Concat(Enumerable.Repeat("RECEIVED : y\r\n", 3))), StringComparison.Ordinal);
        Assert.StartsWith("250 2.0.0", Send(limits, string.Concat(Enumerable.Repeat("Received: y\r\n", 2)) + "\r\nReceived: in the body\r\n"), StringComparison.Ordinal);
        Assert.StartsWith("554 5.6.0", Send(limits, "x: y\r\n\r\n" + new string('x', 99) + "\r\n"), StringComparison.Ordinal);
        Assert.StartsWith("250 2.0.0", Send(limits, "x: y\r\n\r\n" + new string('x', 98) + "\r\n"), StringComparison.Ordinal);

        static string Send(SmtpLimits limits, string message)
        {
            var host = Greeted(limits: limits).Line("MAIL FROM:<>", "RCPT TO:<a@b>", "DATA");
            host.Feed(message);
            return host.Ask(".");
        }
    }

    [Fact]
    public void What_was_seen_in_the_message_is_told_to_the_queue()
    {
        Assert.Equal(BodyTraits.None, Send("MAIL FROM:<>", "x: y\r\n\r\nz"));
        Assert.Equal(BodyTraits.EightBit | BodyTraits.DeclaredEightBit, Send("MAIL FROM:<> BODY=8BITMIME", "x: y\r\n\r\n\u00e4"));
        Assert.Equal(
            BodyTraits.EightBit | BodyTraits.EightBitHeaders | BodyTraits.DeclaredSmtpUtf8, Send("MAIL FROM:<> SMTPUTF8", "x: \u00e4\r\n\r\nz"));

        static BodyTraits Send(string mail, string message)
        {
            var host = Greeted().Line(mail, "RCPT TO:<a@b>", "DATA");
            host.Feed(message);
            host.Feed("\r\n.\r\n");
            return Assert.Single(host.Messages).Traits;
        }
    }
}
