using CsCheck;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Delivery;

public sealed class RetryPolicyTests
{
    private const long Minute = 60_000;
    private const long Hour = 60 * Minute;
    private static readonly DeliveryReply Busy = new(DeliveryVerdict.Temporary, "451 4.3.0 later", "4.3.0", "mx");
    private readonly RetryPolicy _policy = new();

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 5)]
    [InlineData(3, 15)]
    [InlineData(4, 30)]
    [InlineData(5, 60)]
    [InlineData(6, 120)]
    [InlineData(7, 240)]
    [InlineData(8, 240)]
    [InlineData(1000, 240)]
    public void Waiting_times_follow_the_schedule_within_ten_percent(int attempt, int minutes) =>
        Gen.Double[0, 1].Sample(random =>
            Math.Abs(_policy.Wait(attempt, Math.Min(random, 0.999999)) - minutes * Minute) <= minutes * Minute / 10);

    [Theory]
    [InlineData(60_000, 300_000, 900_000, 1_800_000, 3_600_000)]
    [InlineData(1_000)]
    [InlineData(5_000, 600_000)]
    public void A_destination_never_rests_longer_than_a_lone_message_waits(params int[] schedule)
    {
        var policy = new RetryPolicy { Schedule = [.. schedule.Select(wait => (long)wait)] };
        Assert.All(Enumerable.Range(1, 20), n => Assert.InRange(policy.DestinationWait(n, 0.999), 1, policy.Wait(n, 0) - 1));
    }

    [Fact]
    public void What_is_deferred_for_five_days_bounces_after_one_last_attempt()
    {
        var message = QueuedMessages.To("r@y");
        var almost = Judge(message, message.EnqueuedAt + 120 * Hour - 1);
        Assert.Equal(RecipientOutcome.Deferred, almost.Outcome);
        Assert.Equal(message.EnqueuedAt + 120 * Hour, almost.NextAttemptAt);
        var expired = Judge(message, message.EnqueuedAt + 120 * Hour);
        Assert.Equal((RecipientOutcome.Bounced, "4.4.7"), (expired.Outcome, expired.EnhancedCode));
        Assert.Contains("451 4.3.0 later", expired.Reply, StringComparison.Ordinal);
    }

    [Fact]
    public void A_doubt_at_expiry_is_recorded_as_one_and_left_to_the_deadline()
    {
        var message = QueuedMessages.To("r@y");
        var end = message.EnqueuedAt + 120 * Hour;
        var doubt = _policy.Judge(message, 0, 1, Busy with { Verdict = DeliveryVerdict.InDoubt }, tried: true, end, 0.5);
        Assert.Equal(RecipientOutcome.InDoubt, doubt.Outcome);
        Assert.True(doubt.NextAttemptAt > end);
        Assert.False(doubt.DelayNoticed);
        Assert.Equal(RecipientOutcome.Bounced, _policy.Judge(message, 0, 2, Busy, tried: false, end, 0.5).Outcome);
    }

    [Fact]
    public void The_null_senders_message_is_dropped_after_a_day()
    {
        var message = QueuedMessages.To("r@y") with { ReversePath = "" };
        Assert.Equal(RecipientOutcome.Deferred, Judge(message, message.EnqueuedAt + 24 * Hour - 1).Outcome);
        Assert.Equal(RecipientOutcome.Dropped, Judge(message, message.EnqueuedAt + 24 * Hour).Outcome);
        Assert.Equal(
            RecipientOutcome.Dropped,
            _policy.Judge(message, 0, 1, new DeliveryReply(DeliveryVerdict.Permanent, "550", "5.1.1", ""), true, message.EnqueuedAt, 0).Outcome);
    }

    [Theory]
    [InlineData(DsnNotify.Unspecified, true)]
    [InlineData(DsnNotify.Delay, true)]
    [InlineData(DsnNotify.Failure, false)]
    [InlineData(DsnNotify.Never, false)]
    public void One_delay_notice_after_four_hours_unless_notify_excludes_it(DsnNotify notify, bool noticed)
    {
        var message = QueuedMessages.To("r@y").With(0, r => r with { Envelope = r.Envelope with { Notify = notify } });
        Assert.False(Judge(message, message.EnqueuedAt + 4 * Hour - 1).DelayNoticed);
        Assert.Equal(noticed, Judge(message, message.EnqueuedAt + 4 * Hour).DelayNoticed);
        Assert.Equal(message.EnqueuedAt + (noticed ? 4 : 120) * Hour, _policy.DeadlineOf(message, message.Recipients[0]));
        var again = message.With(0, r => r with { DelayNoticed = true });
        Assert.False(Judge(again, message.EnqueuedAt + 5 * Hour).DelayNoticed);
    }

    [Fact]
    public void A_deadline_does_not_move_the_next_attempt()
    {
        var message = QueuedMessages.To("r@y").Deferred(3, QueuedMessages.Start + 5 * Hour);
        var result = _policy.Judge(message, 0, 4, Busy, tried: false, message.EnqueuedAt + 4 * Hour, 0.5);
        Assert.Equal(QueuedMessages.Start + 5 * Hour, result.NextAttemptAt);
        Assert.True(result.DelayNoticed);
    }

    [Fact]
    public void A_hostile_reply_becomes_one_clean_line()
    {
        var hostile = "550 5.1.1 bad\r\nSubject: injected\0\u001b[31m\u202e " + new string('x', 5000);
        var result = _policy.Judge(
            QueuedMessages.To("r@y"), 0, 1, new DeliveryReply(DeliveryVerdict.Permanent, hostile, "5.1.1\r\nX: y", "mx\n"), true, 0, 0);
        Assert.True(result.Reply.Length <= 512);
        Assert.DoesNotContain(result.Reply, c => char.IsControl(c) || c == '\u202e');
        Assert.Equal(("5.0.0", "mx"), (result.EnhancedCode, result.NextHop));
    }

    private RecipientResult Judge(QueuedMessage message, long now) => _policy.Judge(message, 0, 1, Busy, tried: true, now, 0.5);
}
