using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Delivery;

public sealed class DeliveryAttemptTests
{
    private const long Now = QueuedMessages.Start;
    private static readonly DeliveryReply Taken = new(DeliveryVerdict.Delivered, "250 2.0.0 ok", "2.0.0", "mx", DeliveryHandover.Relayed);
    private static readonly DeliveryReply NoSuchUser = new(DeliveryVerdict.Permanent, "550 5.1.1 no such user", "5.1.1", "mx");
    private readonly RetryPolicy _policy = new();

    [Theory]
    [InlineData(null)]
    [InlineData(ApplyStatus.StaleEpoch)]
    [InlineData(ApplyStatus.Conflict)]
    [InlineData(ApplyStatus.NotFound)]
    public void No_dot_without_an_accepted_start(ApplyStatus? status)
    {
        var attempt = Attempt("a@x");
        Assert.Throws<InvariantViolationException>(attempt.SendDot);
        attempt.Start();
        Assert.Throws<InvariantViolationException>(attempt.SendDot);
        Assert.False(attempt.Started(status));
        Assert.Throws<InvariantViolationException>(attempt.SendDot);
        Assert.Throws<InvariantViolationException>(() => attempt.Reply(0, Taken));
        Assert.Equal(RecipientOutcome.Deferred, Assert.Single(attempt.Conclude(_policy, Now, 0.5).Results).Outcome);
    }

    [Fact]
    public void What_is_not_answered_after_the_dot_is_in_doubt_and_nothing_else_is()
    {
        var attempt = Attempt("a@x", "b@x", "c@x");
        attempt.Reply(1, NoSuchUser);
        Assert.Equal([0, 2], attempt.Start().Recipients);
        Assert.True(attempt.Started(ApplyStatus.Accepted));
        attempt.SendDot();
        attempt.Reply(0, Taken);
        Assert.Equal(
            [RecipientOutcome.Delivered, RecipientOutcome.Bounced, RecipientOutcome.InDoubt],
            attempt.Conclude(_policy, Now, 0.5).Results.Select(r => r.Outcome));
    }

    [Fact]
    public void There_is_no_doubt_without_a_dot()
    {
        var attempt = Attempt("a@x");
        attempt.ReplyRest(new DeliveryReply(DeliveryVerdict.InDoubt, "connection lost", "4.4.2", "mx"));
        Assert.Equal(RecipientOutcome.Deferred, attempt.Conclude(_policy, Now, 0.5).Results[0].Outcome);
    }

    [Fact]
    public void A_record_is_proposed_again_until_its_fate_is_known()
    {
        var attempt = Attempt("a@x");
        attempt.Reply(0, NoSuchUser);
        var notice = Assert.Single(attempt.Conclude(_policy, Now, 0.5).Notices);
        var record = attempt.Record([Enqueue(notice)]);
        Assert.Equal(AttemptStep.ProposeAgain, attempt.Recorded(null));
        Assert.Same(record, attempt.Record([Enqueue(notice)]));
        Assert.Equal(AttemptStep.Superseded, attempt.Recorded(ApplyStatus.Conflict));
        Assert.Equal(AttemptStep.Recorded, attempt.Recorded(ApplyStatus.Accepted));
    }

    [Fact]
    public void A_notice_whose_id_is_taken_gets_another_one()
    {
        var attempt = Attempt("a@x");
        attempt.Reply(0, NoSuchUser);
        var first = attempt.Conclude(_policy, Now, 0.5);
        attempt.Record([Enqueue(first.Notices[0])]);
        Assert.Equal(AttemptStep.RenewNotices, attempt.Recorded(ApplyStatus.Collision));
        var second = attempt.Conclude(_policy, Now + 5000, 0.9);
        Assert.Equal(first.Results, second.Results);
        Assert.NotEqual(first.Notices[0].Id, second.Notices[0].Id);
        Assert.Throws<InvariantViolationException>(() => attempt.Record([Enqueue(first.Notices[0])]));
    }

    [Fact]
    public void Of_a_stale_owner_what_had_an_accepted_start_is_recorded_and_nothing_else()
    {
        var attempt = Attempt("a@x", "b@x");
        attempt.Reply(1, NoSuchUser);
        attempt.Start();
        attempt.Started(ApplyStatus.Accepted);
        attempt.SendDot();
        attempt.Reply(0, Taken);
        var whole = attempt.Conclude(_policy, Now, 0.5);
        attempt.Record([Enqueue(Assert.Single(whole.Notices))]);
        Assert.Equal(AttemptStep.RenewNotices, attempt.Recorded(ApplyStatus.StaleEpoch, Present(attempt, 0)));
        var part = attempt.Conclude(_policy, Now, 0.5);
        Assert.Empty(part.Notices);
        Assert.Equal(0, Assert.Single(attempt.Record([]).Results).Recipient);
        Assert.Equal(AttemptStep.RecordedInPart, attempt.Recorded(ApplyStatus.Accepted));
        Assert.Equal(AttemptStep.Superseded, attempt.Recorded(ApplyStatus.StaleEpoch, Present(attempt, 0)));
    }

    [Fact]
    public void A_stale_owner_ends_a_start_of_which_it_never_heard()
    {
        var attempt = Attempt("a@x", "b@x");
        attempt.Reply(1, NoSuchUser);
        attempt.Start();
        attempt.Started(null);
        var whole = attempt.Conclude(_policy, Now, 0.5);
        attempt.Record([Enqueue(Assert.Single(whole.Notices))]);
        Assert.Equal(AttemptStep.RenewNotices, attempt.Recorded(ApplyStatus.StaleEpoch, Present(attempt, 0)));
        attempt.Conclude(_policy, Now, 0.5);
        Assert.Equal((0, RecipientOutcome.Deferred), attempt.Record([]).Results.Select(r => (r.Recipient, r.Outcome)).Single());
    }

    [Theory]
    [InlineData(ApplyStatus.Conflict)]
    [InlineData(ApplyStatus.StaleEpoch)]
    public void A_known_result_is_recorded_for_those_for_whom_the_attempt_is_open_when_others_have_been_tried_since(ApplyStatus status)
    {
        var attempt = Attempt("a@x", "b@x", "c@x");
        attempt.Start();
        attempt.Started(ApplyStatus.Accepted);
        attempt.SendDot();
        attempt.ReplyRest(Taken);
        attempt.Conclude(_policy, Now, 0.5);
        attempt.Record([]);
        Assert.Equal(AttemptStep.RenewNotices, attempt.Recorded(status, Present(attempt, 1, 2)));
        attempt.Conclude(_policy, Now, 0.5);
        Assert.Equal([1, 2], attempt.Record([]).Results.Select(r => r.Recipient));
        Assert.Equal(AttemptStep.RenewNotices, attempt.Recorded(status, Present(attempt, 2)));
        attempt.Conclude(_policy, Now, 0.5);
        Assert.Equal((2, RecipientOutcome.Delivered), attempt.Record([]).Results.Select(r => (r.Recipient, r.Outcome)).Single());
        Assert.Equal(AttemptStep.Superseded, attempt.Recorded(status, Present(attempt)));
        Assert.Equal(AttemptStep.Superseded, attempt.Recorded(status));
        Assert.Equal(AttemptStep.RecordedInPart, attempt.Recorded(ApplyStatus.Accepted));
    }

    [Fact]
    public void A_result_is_never_recorded_without_the_notice_that_it_asks_for()
    {
        var attempt = Attempt("a@x");
        attempt.Reply(0, NoSuchUser);
        attempt.Conclude(_policy, Now, 0.5);
        Assert.Throws<InvariantViolationException>(() => attempt.Record([]));
    }

    [Fact]
    public void An_idempotent_route_needs_no_start()
    {
        var scheduler = new DeliveryScheduler(
            new RouteTable([new Route { Match = "*", Transport = RouteTransport.Maildir }]), _policy, new DeliveryLimits(), "me");
        scheduler.Observe(QueuedMessages.To("a@x"));
        var attempt = new DeliveryAttempt(scheduler.TryTakeJob(Now)!);
        Assert.False(attempt.NeedsStart);
        attempt.Reply(0, Taken);
        Assert.Equal(RecipientOutcome.Delivered, attempt.Conclude(_policy, Now, 0.5).Results[0].Outcome);
    }

    [Fact]
    public void Attempts_of_one_message_derive_different_notice_ids()
    {
        var id = QueueId.Create(Now, 1);
        var derived =
            from epoch in new[] { 0L, 1L }
            from attempt in Enumerable.Range(1, 20)
            from recipient in Enumerable.Range(0, 50)
            from kind in Enum.GetValues<NoticeKind>()
            select NoticePolicy.DeriveId(id, epoch, attempt, recipient, kind);
        Assert.Equal(6000, derived.Distinct().Count());
        Assert.Equal("06HHGQ2G00DH75DH", NoticePolicy.DeriveId(id, 0, 1, 0, NoticeKind.Failure).ToString());
    }

    private static EnqueueCommand Enqueue(NoticePlan plan) => plan.ToEnqueue(1, new byte[16], BodyTraits.None, [], "me");

    /// <summary>The message as another owner has it, which waits for the attempt's results for some recipients.</summary>
    private static QueuedMessage Present(DeliveryAttempt attempt, params int[] open)
    {
        var message = attempt.Job.Message;
        return message with
        {
            Epoch = message.Epoch + 1,
            Recipients =
            [
                .. message.Recipients.Select((r, i) => open.Contains(i)
                    ? r with { State = RecipientState.OwnerLost, OpenAttempt = attempt.Job.Attempt, OpenEpoch = message.Epoch }
                    : r),
            ],
        };
    }

    private DeliveryAttempt Attempt(params string[] recipients)
    {
        var scheduler = new DeliveryScheduler(new RouteTable([]), _policy, new DeliveryLimits(), "me");
        scheduler.Observe(QueuedMessages.To(recipients));
        return new DeliveryAttempt(scheduler.TryTakeJob(Now)!);
    }
}
