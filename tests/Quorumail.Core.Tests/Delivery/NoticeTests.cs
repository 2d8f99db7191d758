using System.Text;
using CsCheck;
using MimeKit;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Delivery;

public sealed class NoticeTests
{
    private const string Original = "Received: by x\r\nSubject: hello\r\nFrom: sender@example.com\r\n\r\nThe body.\r\n";
    private static readonly NoticeContext Context = new("mx.example.net", QueuedMessages.Start + 60_000, QueuedMessages.Start + 432_000_000);

    [Theory]
    [InlineData(DsnNotify.Unspecified, RecipientOutcome.Bounced, DeliveryHandover.Onward, NoticeKind.Failure)]
    [InlineData(DsnNotify.Failure, RecipientOutcome.Bounced, DeliveryHandover.Onward, NoticeKind.Failure)]
    [InlineData(DsnNotify.Never, RecipientOutcome.Bounced, DeliveryHandover.Onward, null)]
    [InlineData(DsnNotify.Success, RecipientOutcome.Bounced, DeliveryHandover.Onward, null)]
    [InlineData(DsnNotify.Unspecified, RecipientOutcome.Delivered, DeliveryHandover.Relayed, null)]
    [InlineData(DsnNotify.Success, RecipientOutcome.Delivered, DeliveryHandover.Onward, null)]
    [InlineData(DsnNotify.Success, RecipientOutcome.Delivered, DeliveryHandover.Relayed, NoticeKind.Success)]
    [InlineData(DsnNotify.Success, RecipientOutcome.Delivered, DeliveryHandover.Final, NoticeKind.Success)]
    [InlineData(DsnNotify.Unspecified, RecipientOutcome.Deferred, DeliveryHandover.Onward, null)]
    [InlineData(DsnNotify.Unspecified, RecipientOutcome.Dropped, DeliveryHandover.Onward, null)]
    public void Notify_decides_who_is_told(DsnNotify notify, RecipientOutcome outcome, DeliveryHandover handover, NoticeKind? kind)
    {
        var message = QueuedMessages.To("r@y").With(0, r => r with { Envelope = r.Envelope with { Notify = notify } });
        RecipientResult[] results = [new(0, outcome, "", "5.0.0", "")];
        Assert.Equal(kind, NoticePolicy.Plan(message, 1, results, [handover]).SingleOrDefault()?.Kind);
        Assert.Empty(NoticePolicy.Plan(message with { ReversePath = "" }, 1, results, [handover]));
    }

    [Fact]
    public void A_notice_goes_to_the_sender_with_the_null_sender_and_asks_for_none()
    {
        var notice = Plan(QueuedMessages.To("r@y")).ToEnqueue(5, new byte[16], BodyTraits.None, [], "me");
        Assert.True(notice.Envelope.HasNullSender);
        Assert.Equal(new EnvelopeRecipient("sender@example.com", DsnNotify.Never), Assert.Single(notice.Envelope.Recipients));
    }

    [Fact]
    public void A_failure_notice_says_what_RFC_3464_asks_for()
    {
        var message = QueuedMessages.To("r@y", "s@y", "t@y") with { EnvelopeId = "QQ+2B1" };
        message = message.With(1, r => r with { Envelope = r.Envelope with { OriginalRecipient = "rfc822;first+40z" } });
        var composed = NoticeComposer.Compose(Plan(message, recipients: [0, 1]), Context, Encoding.ASCII.GetBytes(Original));
        var mime = Parse(composed);
        Assert.Equal("MAILER-DAEMON@mx.example.net", mime.From.Mailboxes.Single().Address);
        Assert.Equal("sender@example.com", mime.To.Mailboxes.Single().Address);
        Assert.Equal("auto-replied", mime.Headers[HeaderId.AutoSubmitted]);
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(Context.Now).ToUnixTimeSeconds(), mime.Date.ToUnixTimeSeconds());
        Assert.False(string.IsNullOrEmpty(mime.MessageId));
        var report = Assert.IsType<MultipartReport>(mime.Body);
        Assert.Equal("delivery-status", report.ReportType);
        Assert.Equal(3, report.Count);
        Assert.Contains("550 5.1.1 no such user", ((TextPart)report[0]).Text, StringComparison.Ordinal);
        var groups = Assert.IsType<MessageDeliveryStatus>(report[1]).StatusGroups;
        Assert.Equal(3, groups.Count);
        Assert.Equal("dns; mx.example.net", groups[0]["Reporting-MTA"]);
        Assert.Equal("QQ+1", groups[0]["Original-Envelope-Id"]);
        Assert.NotNull(groups[0]["Arrival-Date"]);
        Assert.Equal("rfc822; r@y", groups[1]["Final-Recipient"]);
        Assert.Equal("failed", groups[1]["Action"]);
        Assert.Equal("5.1.1", groups[1]["Status"]);
        Assert.Equal("dns; mx1.example.org", groups[1]["Remote-MTA"]);
        Assert.Equal("smtp; 550 5.1.1 no such user", groups[1]["Diagnostic-Code"]);
        Assert.NotNull(groups[1]["Last-Attempt-Date"]);
        Assert.Null(groups[1]["Original-Recipient"]);
        Assert.Equal("rfc822;first@z", groups[2]["Original-Recipient"]);
        Assert.Equal("text/rfc822-headers", report[2].ContentType.MimeType);
        Assert.DoesNotContain("The body.", Encoding.UTF8.GetString(composed.Body), StringComparison.Ordinal);
    }

    [Fact]
    public void A_delay_notice_says_until_when_it_is_tried()
    {
        var plan = Plan(QueuedMessages.To("r@y"), NoticeKind.Delay, "delayed");
        var report = (MultipartReport)Parse(NoticeComposer.Compose(plan, Context, default)).Body!;
        Assert.Equal(2, report.Count);
        Assert.NotNull(((MessageDeliveryStatus)report[1]).StatusGroups[1]["Will-Retry-Until"]);
    }

    [Theory]
    [InlineData(DsnReturn.Full, 1000, true)]
    [InlineData(DsnReturn.Full, NoticePlan.MaxFullReturn + 1, false)]
    [InlineData(DsnReturn.Headers, 1000, false)]
    [InlineData(DsnReturn.Unspecified, 1000, false)]
    public void The_whole_message_returns_only_if_asked_for_and_small(DsnReturn asked, int size, bool whole)
    {
        var original = Original + string.Concat(Enumerable.Repeat("line\r\n", (size - Original.Length) / 6)) + new string('x', (size - Original.Length) % 6);
        var plan = Plan(QueuedMessages.To("r@y") with { Return = asked, Size = original.Length });
        var octets = Encoding.ASCII.GetBytes(original)[..plan.WantedOctets];
        var report = (MultipartReport)Parse(NoticeComposer.Compose(plan, Context, octets)).Body!;
        Assert.Equal(whole ? "message/rfc822" : "text/rfc822-headers", report[2].ContentType.MimeType);
    }

    [Fact]
    public void Non_ASCII_addresses_and_headers_follow_RFC_6533()
    {
        var message = QueuedMessages.To("grå@exämple.org") with { ReversePath = "søren@example.com" };
        var composed = NoticeComposer.Compose(Plan(message), Context, Encoding.UTF8.GetBytes("Subject: grüße\r\n\r\n"));
        Assert.True(composed.Traits.HasFlag(BodyTraits.DeclaredSmtpUtf8 | BodyTraits.EightBitHeaders | BodyTraits.EightBit));
        var report = (MultipartReport)Parse(composed).Body!;
        Assert.Equal("message/global-headers", report[2].ContentType.MimeType);
        Assert.Equal(
            @"utf-8; gr\x{E5}@ex\x{E4}mple.org", ((MessageDeliveryStatus)report[1]).StatusGroups[1]["Final-Recipient"]);
        Assert.Contains("<grå@exämple.org>", ((TextPart)report[0]).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Whatever_the_next_hop_said_the_notice_is_well_formed() =>
        Gen.Select(Gen.String, Gen.String, Gen.Byte.Array, Gen.Bool).Sample((reply, hop, original, full) =>
        {
            var said = new RetryPolicy().Judge(
                QueuedMessages.To("r@y"), 0, 1,
                new DeliveryReply(DeliveryVerdict.Permanent, reply + "\r\nX: y\r\n\r\n--=_", reply, hop), true, 0, 0);
            var message = QueuedMessages.To("r@y") with { Size = original.Length, Return = full ? DsnReturn.Full : DsnReturn.Headers };
            var plan = new NoticePlan(QueueId.Create(1, 1), NoticeKind.Failure, message, 1, [new NoticeRecipient(said, "failed")]);
            var composed = NoticeComposer.Compose(plan, Context, original);
            AssertLines(composed.Body);
            var report = (MultipartReport)Parse(composed).Body!;
            Assert.Equal(2, ((MessageDeliveryStatus)report[1]).StatusGroups.Count);
            Assert.True(((MessageDeliveryStatus)report[1]).StatusGroups[1].Count <= 6);
        });

    [Fact]
    public void A_very_long_word_is_folded()
    {
        var result = new RecipientResult(0, RecipientOutcome.Bounced, new string('x', 512), "5.0.0", new string('h', 300));
        var message = QueuedMessages.To(new string('l', 64) + "@" + new string('d', 1200)) with { EnvelopeId = new string('e', 1900) };
        var plan = new NoticePlan(QueueId.Create(1, 1), NoticeKind.Failure, message, 1, [new NoticeRecipient(result, "failed")]);
        AssertLines(NoticeComposer.Compose(plan, Context, default).Body);
    }

    private static void AssertLines(byte[] body)
    {
        var lines = Encoding.Latin1.GetString(body).Split("\r\n");
        Assert.All(lines, line => Assert.True(line.Length <= 998));
        Assert.All(lines, line => Assert.DoesNotContain(line, c => c is '\r' or '\n'));
        Assert.Equal("", lines[^1]);
    }

    private static MimeMessage Parse(ComposedNotice composed)
    {
        using var stream = new MemoryStream(composed.Body);
        return MimeMessage.Load(stream, TestContext.Current.CancellationToken);
    }

    private static NoticePlan Plan(QueuedMessage message, NoticeKind kind = NoticeKind.Failure, string action = "failed", int[]? recipients = null) =>
        new(QueueId.Create(1, 2), kind, message, 1, [.. (recipients ?? [0]).Select(i => new NoticeRecipient(
            new RecipientResult(i, RecipientOutcome.Bounced, "550 5.1.1 no such user", "5.1.1", "mx1.example.org[192.0.2.1]:25"), action))]);
}
