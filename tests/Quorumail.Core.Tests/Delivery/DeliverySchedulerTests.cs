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
            State = RecipientState.OwnerLost, OpenAttempt = 1, Attempts = 1, NextAttemptAt = Start + 500,
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
        scheduler.Observe(QueuedMessages.To("a@x").WithAll(r => r with
        {
            State = RecipientState.OwnerLost, OpenAttempt = 1, Attempts = 1, NextAttemptAt = Start + 500,
        }) with { IsHeld = true });
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
            if (jobs.Find(j => j.Deadline is not null) is { } deadline)
            {
                Assert.Equal(Start + 4 * 3_600_000, now);
                Assert.Equal(second.Id, deadline.Message.Id);
                Assert.Equal("connection refused", deadline.Deadline!.Text);
                return;
            }

            Assert.Empty(jobs);
        }
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
