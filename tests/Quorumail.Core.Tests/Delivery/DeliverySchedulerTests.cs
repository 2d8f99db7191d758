using CsCheck;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Delivery;

public sealed class DeliverySchedulerTests
{
    private const long Start = QueuedMessages.Start;
    private static readonly DeliveryReply Refused = new(DeliveryVerdict.Temporary, "connection refused", "4.4.1", "");
    private readonly RetryPolicy _retry = new();

    [Fact]
    public void A_message_is_due_at_once_and_only_once()
    {
        var scheduler = Scheduler();
        scheduler.Observe(QueuedMessages.To("a@x"));
        var job = Assert.IsType<DeliveryJob>(scheduler.TryTakeJob(Start));
        Assert.Equal([0], job.Recipients);
        Assert.Equal((1, "x"), (job.Attempt, job.Destination.Domain));
        Assert.Null(scheduler.TryTakeJob(Start));
    }

    [Fact]
    public void Recipients_of_one_destination_share_a_job_up_to_a_hundred()
    {
        var scheduler = Scheduler();
        scheduler.Observe(QueuedMessages.To([.. Enumerable.Range(0, 250).Select(i => $"u{i}@X.example"), "other@y"]));
        var jobs = TakeAll(scheduler, Start);
        Assert.Equal([1, 50, 100, 100], jobs.Select(j => j.Recipients.Count).Order());
        Assert.Equal(Enumerable.Range(0, 251), jobs.SelectMany(j => j.Recipients).Order());
    }

    [Fact]
    public void A_destination_of_which_a_limit_holds_jobs_back_gets_as_many_as_are_let_through_and_one_more_when_its_time_has_come()
    {
        var scheduler = Scheduler();
        for (var i = 0U; i < 15; i++)
        {
            scheduler.Observe(QueuedMessages.New(i, "u@x"));
        }

        scheduler.Observe(QueuedMessages.New(99, "a@y"));
        var jobs = TakeAll(scheduler, Start).Where(job => job.Destination.Domain == "x").ToList();
        Assert.Equal(15, jobs.Count);
        foreach (var job in jobs.Skip(2))
        {
            scheduler.HoldBack(job.Destination, Start + 5000);
            scheduler.Completed(job, recorded: false, Start);
        }

        // Two are under way; when one of them ends its connection takes another job, and nobody else does.
        Assert.Null(scheduler.TryTakeJob(Start + 2000));
        scheduler.Completed(jobs[0], recorded: true, Start + 2000);
        var next = Assert.IsType<DeliveryJob>(scheduler.TryTakeNext(jobs[0], Start + 2000));
        Assert.Null(scheduler.TryTakeJob(Start + 4000));

        var probe = Assert.Single(TakeAll(scheduler, Start + 5000));
        scheduler.LetThrough(probe.Destination, Start + 5000);
        probe = Assert.Single(TakeAll(scheduler, Start + 5000));
        scheduler.HoldBack(probe.Destination, Start + 6000);
        scheduler.Completed(probe, recorded: false, Start + 5000);
        Assert.Null(scheduler.TryTakeJob(Start + 5999));
        Assert.Equal(Start + 6000, scheduler.NextWakeAt);
        scheduler.Completed(jobs[1], recorded: true, Start + 6000);
        scheduler.Completed(next, recorded: true, Start + 6000);
        Assert.Equal(3, TakeAll(scheduler, Start + 6000).Count);
    }

    [Fact]
    public void A_destination_that_rests_is_told_with_the_reason_and_the_end_of_it()
    {
        var scheduler = Scheduler();
        scheduler.Observe(QueuedMessages.New(1, "u@x"));
        scheduler.Observe(QueuedMessages.New(2, "u@x"));
        scheduler.Observe(QueuedMessages.New(3, "a@y"));
        Assert.Null(scheduler.RestOf("u@x", Start));
        foreach (var job in TakeAll(scheduler, Start))
        {
            if (job.Destination.Domain == "x")
            {
                scheduler.Unreachable(job.Destination, Refused, Start, 0.5);
            }
            else
            {
                scheduler.HoldBack(job.Destination, Start + 5000);
            }

            scheduler.Completed(job, recorded: false, Start);
        }

        var rest = scheduler.RestOf("other@X.", Start)!;
        Assert.Equal(Refused, rest.Failure);
        Assert.Equal(new DestinationRest(Start + 5000, null), scheduler.RestOf("a@y", Start));
        Assert.Null(scheduler.RestOf("a@z", Start));
        Assert.Null(scheduler.RestOf("u@x", rest.Until));
        Assert.Null(scheduler.RestOf("a@y", Start + 5000));
    }

    [Fact]
    public void A_recorded_job_is_not_offered_again_before_its_result_is_observed()
    {
        var scheduler = Scheduler();
        var message = QueuedMessages.To("a@x");
        scheduler.Observe(message);
        var job = scheduler.TryTakeJob(Start)!;
        scheduler.Completed(job, recorded: true, Start);
        Assert.Null(scheduler.TryTakeJob(Start + 100_000));
        scheduler.Observe(message.Deferred(1, Start + 60_000));
        Assert.Equal(2, scheduler.TryTakeJob(Start + 100_000)!.Attempt);
    }

    [Fact]
    public void A_result_may_be_observed_before_its_job_is_completed()
    {
        var scheduler = Scheduler();
        var message = QueuedMessages.To("a@x");
        scheduler.Observe(message);
        var job = scheduler.TryTakeJob(Start)!;
        scheduler.Observe(message.Deferred(1, Start + 60_000));
        Assert.Null(scheduler.TryTakeJob(Start + 60_000));
        scheduler.Completed(job, recorded: true, Start + 60_000);
        Assert.NotNull(scheduler.TryTakeJob(Start + 60_000));
    }

    [Fact]
    public void A_job_that_could_not_be_recorded_is_offered_again_after_a_moment()
    {
        var scheduler = Scheduler();
        scheduler.Observe(QueuedMessages.To("a@x"));
        scheduler.Completed(scheduler.TryTakeJob(Start)!, recorded: false, Start);
        Assert.Null(scheduler.TryTakeJob(Start));
        Assert.Equal(Start + 1000, scheduler.NextWakeAt);
        Assert.NotNull(scheduler.TryTakeJob(Start + 1000));
    }

    [Fact]
    public void A_lost_owners_recipient_is_tried_when_the_wait_for_its_result_is_over_and_not_expired_before()
    {
        var scheduler = Scheduler();
        var late = Start + _retry.ExpireAfter;
        scheduler.Observe(QueuedMessages.To("a@x").With(0, r => r with
        {
            State = RecipientState.OwnerLost,
            OpenAttempt = 1,
            Attempts = 1,
            NextAttemptAt = late + 60_000,
        }));
        Assert.Null(scheduler.TryTakeJob(late + 1000));
        Assert.Equal(late + 60_000, scheduler.NextWakeAt);
        Assert.Equal(2, scheduler.TryTakeJob(late + 60_000)!.Attempt);
    }

    [Fact]
    public void A_message_that_comes_back_from_another_owner_is_not_held_by_an_old_job()
    {
        var scheduler = Scheduler();
        var message = QueuedMessages.To("a@x");
        scheduler.Observe(message);
        var job = scheduler.TryTakeJob(Start)!;
        scheduler.Completed(job, recorded: true, Start);
        scheduler.Observe(message.With(0, r => r with
        {
            State = RecipientState.OwnerLost,
            OpenAttempt = 2,
            Attempts = 2,
            NextAttemptAt = Start + 500,
        }));
        Assert.Equal(3, scheduler.TryTakeJob(Start + 500)!.Attempt);
    }

    [Fact]
    public void A_lost_attempt_is_given_up_when_its_time_has_come_unless_a_job_does_it()
    {
        var scheduler = Scheduler();
        var lost = QueuedMessages.To("a@x", "b@y", "c@z").WithAll(r => r with
        {
            State = RecipientState.OwnerLost,
            OpenAttempt = 1,
            Attempts = 1,
            NextAttemptAt = Start + 500,
        }).With(2, r => r with { OpenAttempt = 2, Attempts = 2 });
        scheduler.Observe(QueuedMessages.New(9, "other@y"));
        var job = Assert.Single(TakeAll(scheduler, Start));
        scheduler.Unreachable(job.Destination, Refused, Start, 0.5);
        scheduler.Completed(job, recorded: true, Start);
        scheduler.Suspend([new Suspension(SuspensionScope.Destination, "z", "", Start, 0)]);
        scheduler.Observe(lost);
        Assert.Null(scheduler.TryTakeGivenUp(Start + 499));
        Assert.Equal(Start + 500, scheduler.NextWakeAt);
        Assert.Equal([0], Assert.Single(TakeAll(scheduler, Start + 500)).Recipients);
        var first = scheduler.TryTakeGivenUp(Start + 500)!;
        Assert.Equal((lost.Id, lost.Epoch, 1), (first.Id, first.Epoch, first.Attempt));
        Assert.Equal([1], first.Recipients);
        Assert.Null(scheduler.TryTakeGivenUp(Start + 500));

        scheduler.GivenUp(lost.Id, Start + 500);
        scheduler.Observe(lost.With(1, r => r with { State = RecipientState.Queued, OpenAttempt = 0, NextAttemptAt = Start + 500 }));
        var again = Start + 500 + new DeliveryLimits().UnrecordedWait;
        Assert.Null(scheduler.TryTakeGivenUp(again - 1));
        var second = scheduler.TryTakeGivenUp(again)!;
        Assert.Equal((2, 2), (second.Attempt, Assert.Single(second.Recipients)));
        scheduler.GivenUp(lost.Id, again);
        Assert.NotNull(scheduler.TryTakeGivenUp(again + 10_000));
        scheduler.Forget(lost.Id);
        scheduler.GivenUp(lost.Id, again);
        Assert.Null(scheduler.TryTakeGivenUp(again + 20_000));
    }

    [Fact]
    public void A_lost_attempt_of_a_held_message_is_given_up()
    {
        var scheduler = Scheduler();
        var lost = QueuedMessages.To("a@x").WithAll(r => r with
        {
            State = RecipientState.OwnerLost,
            OpenAttempt = 1,
            Attempts = 1,
            NextAttemptAt = Start + 500,
        });
        scheduler.Observe(lost with { IsHeld = true });
        Assert.Null(scheduler.TryTakeJob(Start + 500));
        Assert.Equal(1, scheduler.TryTakeGivenUp(Start + 500)!.Attempt);
    }

    [Fact]
    public void A_held_message_waits_until_it_is_released()
    {
        var scheduler = Scheduler();
        var message = QueuedMessages.To("a@x", "b@y");
        scheduler.Observe(message);
        scheduler.Observe(message with { IsHeld = true });
        Assert.Null(scheduler.TryTakeJob(Start + 10 * _retry.ExpireAfter));
        Assert.Null(scheduler.NextWakeAt);
        scheduler.Observe(message);
        Assert.Equal(2, TakeAll(scheduler, Start).Count);
    }

    [Fact]
    public void A_suspended_destination_or_sender_waits_until_it_is_resumed_or_its_time_has_come()
    {
        var scheduler = Scheduler();
        var other = QueuedMessages.New(2, "c@x") with { ReversePath = "other@example.com" };
        scheduler.Observe(QueuedMessages.To("a@x", "b@y"));
        scheduler.Suspend([new Suspension(SuspensionScope.Destination, "x", "", Start, Start + 1000)]);
        scheduler.Observe(other);
        Assert.Equal([1], Assert.Single(TakeAll(scheduler, Start)).Recipients);
        Assert.Equal(Start + 1000, scheduler.NextWakeAt);
        scheduler.Suspend([new Suspension(SuspensionScope.Sender, "sender@EXAMPLE.com", "", Start, 0)]);
        Assert.Equal(other.Id, Assert.Single(TakeAll(scheduler, Start)).Message.Id);
        scheduler.Suspend([new Suspension(SuspensionScope.Destination, "x", "", Start, Start + 1000)]);
        Assert.Null(scheduler.TryTakeJob(Start + 999));
        Assert.Equal([0], scheduler.TryTakeJob(Start + 1000)!.Recipients);
    }

    [Fact]
    public void An_open_attempt_and_a_final_recipient_are_not_tried()
    {
        var scheduler = Scheduler();
        scheduler.Observe(QueuedMessages.To("a@x", "b@x", "c@x")
            .With(0, r => r with { State = RecipientState.Attempting, OpenAttempt = 1, Attempts = 1 })
            .With(1, r => r with { State = RecipientState.Delivered, Attempts = 1 }));
        Assert.Equal([2], scheduler.TryTakeJob(Start)!.Recipients);
        Assert.Null(scheduler.TryTakeJob(Start));
    }

    [Fact]
    public void A_destination_and_the_whole_keep_their_concurrency()
    {
        var scheduler = Scheduler(new DeliveryLimits { Concurrency = 7, DestinationConcurrency = 5 });
        for (var i = 0u; i < 20; i++)
        {
            scheduler.Observe(QueuedMessages.New(i, i % 2 == 0 ? "a@x" : "a@y"));
        }

        var jobs = TakeAll(scheduler, Start);
        Assert.Equal(7, jobs.Count);
        Assert.All(jobs.CountBy(j => j.Destination.Domain, StringComparer.Ordinal), c => Assert.True(c.Value <= 5));
        scheduler.Completed(jobs[0], recorded: true, Start);
        Assert.Single(TakeAll(scheduler, Start));
    }

    [Fact]
    public void A_small_destination_does_not_wait_behind_a_large_one()
    {
        var scheduler = Scheduler();
        for (var i = 0u; i < 1000; i++)
        {
            scheduler.Observe(QueuedMessages.New(i, "a@large"));
        }

        scheduler.Observe(QueuedMessages.New(5000, "a@small"));
        Assert.Contains(TakeAll(scheduler, Start, 2), j => j.Destination.Domain == "small");
    }

    [Fact]
    public void A_dead_destination_is_probed_by_one_job_at_a_time()
    {
        var scheduler = Scheduler();
        for (var i = 0u; i < 1000; i++)
        {
            scheduler.Observe(QueuedMessages.New(i, "a@dead"));
        }

        var now = Start;
        var tries = 0;
        for (var hour = Start + 3_600_000; now < hour; now = scheduler.NextWakeAt!.Value)
        {
            foreach (var job in TakeAll(scheduler, now))
            {
                tries++;
                scheduler.Unreachable(job.Destination, Refused, now, 0.5);
                scheduler.Completed(job, recorded: true, now);
                scheduler.Observe(job.Message.Deferred(job.Attempt, now + _retry.Wait(job.Attempt, 0.5)));
            }
        }

        Assert.InRange(tries, 20, 35);
        var probe = Assert.Single(TakeAll(scheduler, now));
        scheduler.Reached(probe.Destination, now);
        Assert.Equal(19, TakeAll(scheduler, now).Count);
    }

    [Fact]
    public void A_message_that_was_never_tried_is_still_noticed_and_expired_in_time()
    {
        var scheduler = Scheduler();
        var first = QueuedMessages.New(1, "a@dead");
        var second = QueuedMessages.New(2, "b@dead");
        scheduler.Observe(first);
        var probe = scheduler.TryTakeJob(Start)!;
        scheduler.Observe(second);
        long now = Start;
        for (; ; now = scheduler.NextWakeAt!.Value)
        {
            scheduler.Unreachable(probe.Destination, Refused, now, 0.5);
            var jobs = TakeAll(scheduler, now);
            if (jobs.Find(j => j.Deadlines is not null) is { } deadline)
            {
                Assert.Equal(Start + 4 * 3_600_000, now);
                Assert.Equal(second.Id, deadline.Message.Id);
                Assert.Equal("connection refused", Assert.Single(deadline.Deadlines!).Text);
                return;
            }

            Assert.Empty(jobs);
        }
    }

    [Fact]
    public void A_deadline_is_reported_at_once_for_all_recipients_wherever_they_go()
    {
        var scheduler = Scheduler(new DeliveryLimits { Concurrency = 400 });
        var message = QueuedMessages.To([.. Enumerable.Range(0, 300).Select(i => $"u@d{i}"), .. Enumerable.Range(0, 150).Select(i => $"u{i}@same")]);
        message = message.Deferred(6, Start + 8 * 3_600_000);
        scheduler.Observe(message);
        Assert.Equal(Start + 4 * 3_600_000, scheduler.NextWakeAt);
        var job = Assert.Single(TakeAll(scheduler, Start + 4 * 3_600_000));
        Assert.Equal(Enumerable.Range(0, 450), job.Recipients);
        Assert.Equal(450, job.Deadlines!.Count);
        scheduler.Completed(job, recorded: true, Start + 4 * 3_600_000);
        scheduler.Observe(message.Deferred(7, Start + 8 * 3_600_000).WithAll(r => r with { DelayNoticed = true }));
        Assert.Null(scheduler.TryTakeJob(Start + 8 * 3_600_000 - 1));
        Assert.Equal(301, TakeAll(scheduler, Start + 8 * 3_600_000, 301).Select(j => j.Destination.Domain).Distinct(StringComparer.Ordinal).Count());
    }

    [Fact]
    public void A_deadline_leaves_out_who_is_about_to_be_tried()
    {
        var scheduler = Scheduler(new DeliveryLimits { Concurrency = 1 });
        scheduler.Observe(QueuedMessages.New(1, "a@busy"));
        Assert.Equal("busy", scheduler.TryTakeJob(Start)!.Destination.Domain);
        var four = Start + 4 * 3_600_000;
        scheduler.Observe(QueuedMessages.New(2, "a@later", "a@now").With(0, r => r with { NextAttemptAt = four + 1000 }).With(1, r => r with { NextAttemptAt = four - 1 }));
        Assert.Null(scheduler.TryTakeJob(four - 1));
        var deadline = scheduler.TryTakeJob(four)!;
        Assert.Equal([0], deadline.Recipients);
        scheduler.Completed(deadline, recorded: true, four);
        Assert.Equal([1], scheduler.TryTakeJob(four + 60_000)!.Recipients);
    }

    [Fact]
    public void What_expires_is_reported_at_once_after_the_last_attempts()
    {
        var scheduler = Scheduler();
        var end = Start + _retry.ExpireAfter;
        var message = QueuedMessages.To([.. Enumerable.Range(0, 10).Select(i => $"u@d{i}")])
            .Deferred(9, end).WithAll(r => r with { DelayNoticed = true });
        scheduler.Observe(message);
        var last = TakeAll(scheduler, end);
        Assert.Equal(10, last.Count);
        foreach (var job in last)
        {
            var attempt = new DeliveryAttempt(job);
            attempt.ReplyRest(Refused);
            scheduler.Unreachable(job.Destination, Refused, end, 0.5);
            var conclusion = attempt.Conclude(_retry, end, 0.5);
            Assert.Empty(conclusion.Notices);
            message = message.With(job.Recipients[0], r => r with { Attempts = job.Attempt, NextAttemptAt = conclusion.Results[0].NextAttemptAt });
            scheduler.Observe(message);
            scheduler.Completed(job, recorded: true, end);
        }

        Assert.Null(scheduler.TryTakeJob(end + 59_999));
        var report = new DeliveryAttempt(Assert.Single(TakeAll(scheduler, end + 60_000)));
        Assert.Equal(10, Assert.Single(report.Conclude(_retry, end + 60_000, 0.5).Notices).Recipients.Count);
    }

    [Fact]
    public void A_doubt_at_expiry_is_recorded_then_reported_and_never_sent_again()
    {
        var scheduler = Scheduler();
        var end = Start + _retry.ExpireAfter;
        var message = QueuedMessages.To("u@d").Deferred(9, end).WithAll(r => r with { DelayNoticed = true });
        scheduler.Observe(message);
        var attempt = new DeliveryAttempt(scheduler.TryTakeJob(end)!);
        attempt.Start();
        attempt.Started(ApplyStatus.Accepted);
        attempt.SendDot();
        var conclusion = attempt.Conclude(_retry, end, 0.5);
        var doubt = Assert.Single(conclusion.Results);
        Assert.Equal(RecipientOutcome.InDoubt, doubt.Outcome);
        Assert.Empty(conclusion.Notices);
        scheduler.Completed(attempt.Job, recorded: true, end);
        scheduler.Observe(message.With(0, r => r with { Attempts = attempt.Job.Attempt, NextAttemptAt = doubt.NextAttemptAt, LastResult = doubt }));
        var report = new DeliveryAttempt(Assert.Single(TakeAll(scheduler, end + 3_600_000)));
        Assert.NotNull(report.Job.Deadlines);
        var bounced = report.Conclude(_retry, end + 3_600_000, 0.5);
        Assert.Equal(RecipientOutcome.Bounced, Assert.Single(bounced.Results).Outcome);
        Assert.Contains("no reply after the final dot", bounced.Results[0].Reply, StringComparison.Ordinal);
    }

    [Fact]
    public void A_requeued_message_probes_its_destination_at_once_by_one_job()
    {
        var scheduler = Scheduler();
        var now = Fail(scheduler, 6);
        var later = now + 3_600_000;
        var first = QueuedMessages.New(50, "u@dead").Deferred(5, later);
        var second = QueuedMessages.New(51, "u@dead").Deferred(5, later);
        scheduler.Observe(first);
        scheduler.Observe(second);
        Assert.Null(scheduler.TryTakeJob(now + 1000));
        scheduler.Observe(first.Deferred(5, now + 1000));
        scheduler.Observe(second.Deferred(5, now + 1000));
        var probe = Assert.Single(TakeAll(scheduler, now + 1000));
        scheduler.Unreachable(probe.Destination, Refused, now + 1000, 0.5);
        scheduler.Completed(probe, recorded: true, now + 1000);
        Assert.Null(scheduler.TryTakeJob(now + 2000));
    }

    [Fact]
    public void A_message_that_comes_while_its_destination_rests_is_tried_soon_and_then_by_its_own_schedule()
    {
        var scheduler = Scheduler();
        var now = Fail(scheduler, 6);
        var message = QueuedMessages.New(50, "u@dead").WithAll(r => r with { NextAttemptAt = now + 1000 });
        scheduler.Observe(message);
        var due = now + 30_000;
        for (var attempt = 1; attempt < 8; attempt++)
        {
            Assert.Null(scheduler.TryTakeJob(due - 1));
            var job = Assert.IsType<DeliveryJob>(scheduler.TryTakeJob(due));
            Assert.Equal((message.Id, attempt), (job.Message.Id, job.Attempt));
            scheduler.Unreachable(job.Destination, Refused, due, 0.999);
            scheduler.Completed(job, recorded: true, due);
            due += _retry.Wait(attempt, 0);
            message = message.Deferred(attempt, due).WithAll(r => r with { DelayNoticed = true });
            scheduler.Observe(message);
        }
    }

    [Fact]
    public void Messages_that_keep_coming_for_a_dead_destination_probe_it_twice_a_minute_at_most()
    {
        var scheduler = Scheduler();
        var now = Fail(scheduler, 6);
        var tries = 0;
        for (var i = 100u; i < 100 + 3600; i++)
        {
            now += 1000;
            scheduler.Observe(QueuedMessages.New(i, "u@dead").WithAll(r => r with { NextAttemptAt = now }));
            foreach (var job in TakeAll(scheduler, now))
            {
                tries++;
                scheduler.Unreachable(job.Destination, Refused, now, 0.5);
                scheduler.Completed(job, recorded: true, now);
                scheduler.Observe(job.Message.Deferred(job.Attempt, now + _retry.Wait(job.Attempt, 0.5)));
            }
        }

        Assert.InRange(tries, 100, 121);
    }

    [Fact]
    public void Destinations_that_can_not_be_reached_leave_half_of_the_places_to_others()
    {
        var scheduler = Scheduler(new DeliveryLimits { Concurrency = 10 });
        List<QueuedMessage> dead = [.. Enumerable.Range(0, 30).Select(i => QueuedMessages.New((uint)i, $"u@dead{i}"))];
        foreach (var message in dead)
        {
            scheduler.Observe(message);
            var job = scheduler.TryTakeJob(Start)!;
            scheduler.Unreachable(job.Destination, Refused, Start, 0.5);
            scheduler.Completed(job, recorded: true, Start);
            scheduler.Observe(message.Deferred(1, Start + 60_000));
        }

        var probes = TakeAll(scheduler, Start + 60_000);
        Assert.Equal(5, probes.Count);
        for (var i = 100u; i < 110; i++)
        {
            scheduler.Observe(QueuedMessages.New(i, "u@alive"));
        }

        var alive = TakeAll(scheduler, Start + 60_000);
        Assert.Equal(5, alive.Count);
        Assert.All(alive, job => Assert.Equal("alive", job.Destination.Domain));

        // Each probe that ends lets another begin, and one that succeeds is no probe any more.
        scheduler.Unreachable(probes[0].Destination, Refused, Start + 60_000, 0.5);
        scheduler.Completed(probes[0], recorded: true, Start + 60_000);
        Assert.StartsWith("dead", Assert.Single(TakeAll(scheduler, Start + 60_000)).Destination.Domain, StringComparison.Ordinal);
        alive.ForEach(job => scheduler.Completed(job, recorded: true, Start + 60_000));
        scheduler.Reached(probes[1].Destination, Start + 60_000);
        Assert.Equal(5, TakeAll(scheduler, Start + 60_000).Count);
    }

    [Fact]
    public void Mailboxes_and_deadlines_never_wait_for_next_hops()
    {
        var scheduler = new DeliveryScheduler(
            new RouteTable([new Route { Match = "local", Transport = RouteTransport.Maildir }, new Route { Match = "nowhere", Transport = RouteTransport.Discard }]),
            _retry, new DeliveryLimits { Concurrency = 2, DestinationConcurrency = 1 }, "me");
        scheduler.Observe(QueuedMessages.New(1, "u@slow1", "u@slow2", "u@slow3"));
        Assert.Equal(2, TakeAll(scheduler, Start).Count);
        scheduler.Observe(QueuedMessages.New(2, "u@local", "u@nowhere"));
        var local = TakeAll(scheduler, Start);
        Assert.Equal(["discard", "maildir"], local.Select(job => job.Destination.ToString()).Order(StringComparer.Ordinal));
        local.ForEach(job => scheduler.Completed(job, recorded: true, Start));
        Assert.NotNull(Assert.Single(TakeAll(scheduler, Start + 5 * 3_600_000)).Deadlines);
    }

    [Fact]
    public void A_destination_that_is_held_back_again_when_its_time_has_passed_is_tried_again()
    {
        var scheduler = Scheduler();
        scheduler.Observe(QueuedMessages.To("u@x"));
        var job = scheduler.TryTakeJob(Start)!;
        scheduler.HoldBack(job.Destination, Start + 5000);
        scheduler.Completed(job, recorded: false, Start);
        job = Assert.IsType<DeliveryJob>(scheduler.TryTakeJob(Start + 5000));
        scheduler.HoldBack(job.Destination, Start + 5000);
        scheduler.Completed(job, recorded: false, Start + 5000);
        Assert.NotNull(scheduler.TryTakeJob(Start + 7000));
    }

    [Fact]
    public void A_connection_takes_more_jobs_of_its_destination_but_not_for_ever()
    {
        var scheduler = Scheduler(new DeliveryLimits { Concurrency = 1, JobsPerTurn = 3 });
        for (var i = 0u; i < 20; i++)
        {
            scheduler.Observe(QueuedMessages.New(i, "a@x"));
        }

        scheduler.Observe(QueuedMessages.New(100, "a@y"));
        var job = scheduler.TryTakeJob(Start)!;
        for (var turn = 0; turn < 2; turn++)
        {
            scheduler.Completed(job, recorded: true, Start);
            job = Assert.IsType<DeliveryJob>(scheduler.TryTakeNext(job, Start));
            Assert.Equal("x", job.Destination.Domain);
        }

        scheduler.Completed(job, recorded: true, Start);
        Assert.Null(scheduler.TryTakeNext(job, Start));
        Assert.Equal("y", scheduler.TryTakeJob(Start)!.Destination.Domain);
    }

    [Fact]
    public void Forgotten_messages_and_idle_destinations_leave_nothing_behind()
    {
        var scheduler = Scheduler();
        for (var i = 0u; i < 100; i++)
        {
            scheduler.Observe(QueuedMessages.New(i, $"a@d{i}", $"b@e{i}"));
        }

        var jobs = TakeAll(scheduler, Start, 50);
        for (var i = 0u; i < 100; i++)
        {
            scheduler.Forget(QueueId.Create(Start, i));
        }

        jobs.ForEach(j => scheduler.Completed(j, recorded: true, Start));
        Assert.Equal((0, 0, 0), (scheduler.MessageCount, scheduler.DestinationCount, scheduler.ActiveJobs));
        Assert.Null(scheduler.NextWakeAt);
    }

    [Fact]
    public void Whatever_happens_no_recipient_is_in_two_jobs_and_all_are_served() =>
        Gen.Select(Gen.Int[1, 12], Gen.UInt).Sample((count, seed) =>
        {
            var random = new Random((int)seed);
            var scheduler = Scheduler(new DeliveryLimits { Concurrency = 5, DestinationConcurrency = 2, RecipientsPerJob = 2 });
            var queue = new Dictionary<QueueId, QueuedMessage>();
            for (var i = 0u; i < count; i++)
            {
                var message = QueuedMessages.New(i, [.. Enumerable.Range(0, random.Next(1, 6)).Select(n => $"u{n}@d{random.Next(3)}")]);
                queue.Add(message.Id, message);
                scheduler.Observe(message);
            }

            var now = Start;
            var active = new List<DeliveryJob>();
            for (var step = 0; queue.Count > 0; step++)
            {
                Assert.True(step < 5000, "the queue drains");
                if (random.Next(2) == 0 && scheduler.TryTakeJob(now) is { } taken)
                {
                    Assert.DoesNotContain(active, j => j.Message.Id == taken.Message.Id && j.Recipients.Intersect(taken.Recipients).Any());
                    active.Add(taken);
                }
                else if (active.Count > 0 && random.Next(3) > 0)
                {
                    End(scheduler, queue, active, random, now);
                }
                else
                {
                    now += random.Next(30_000);
                }
            }

            active.ForEach(j => scheduler.Completed(j, recorded: true, now));
            scheduler.TryTakeJob(now + 3_600_000);
            Assert.Equal((0, 0), (scheduler.MessageCount, scheduler.DestinationCount));
        }, iter: 300);

    private static void End(
        DeliveryScheduler scheduler, Dictionary<QueueId, QueuedMessage> queue, List<DeliveryJob> active, Random random, long now)
    {
        var job = active[random.Next(active.Count)];
        active.Remove(job);
        if (random.Next(4) == 0)
        {
            scheduler.Unreachable(job.Destination, Refused, now, random.NextDouble());
            scheduler.Completed(job, recorded: random.Next(2) == 0 && Settle(), now);
            return;
        }

        scheduler.Reached(job.Destination, now);
        Settle();
        scheduler.Completed(job, recorded: true, now);

        bool Settle()
        {
            var delivered = random.Next(2) == 0;
            var message = queue[job.Message.Id];
            foreach (var index in job.Recipients)
            {
                message = message.With(index, r => r with
                {
                    State = delivered ? RecipientState.Delivered : RecipientState.Queued,
                    Attempts = job.Attempt,
                    NextAttemptAt = now + random.Next(100_000),
                });
            }

            queue[message.Id] = message;
            if (message.Recipients.All(r => r.IsFinal))
            {
                queue.Remove(message.Id);
                scheduler.Forget(message.Id);
            }
            else
            {
                scheduler.Observe(message);
            }

            return true;
        }
    }

    /// <summary>A destination, "dead", that could not be reached so often in a row; returns when it failed last.</summary>
    private long Fail(DeliveryScheduler scheduler, int failures)
    {
        var now = Start;
        for (var i = 1; ; i++)
        {
            scheduler.Observe(QueuedMessages.New(7, "u@dead").Deferred(i - 1, now));
            var job = scheduler.TryTakeJob(now)!;
            scheduler.Unreachable(job.Destination, Refused, now, 0.5);
            scheduler.Completed(job, recorded: true, now);
            scheduler.Observe(job.Message.Deferred(i, now + _retry.Wait(i, 0.5)));
            if (i == failures)
            {
                scheduler.Forget(job.Message.Id);
                return now;
            }

            now += _retry.Wait(i, 0.5);
        }
    }

    private static List<DeliveryJob> TakeAll(DeliveryScheduler scheduler, long now, int most = int.MaxValue)
    {
        var jobs = new List<DeliveryJob>();
        while (jobs.Count < most && scheduler.TryTakeJob(now) is { } job)
        {
            jobs.Add(job);
        }

        return jobs;
    }

    private DeliveryScheduler Scheduler(DeliveryLimits? limits = null) =>
        new(new RouteTable([]), _retry, limits ?? new DeliveryLimits(), "me");
}
