using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Queue;

public sealed class AdministrationTests
{
    private static readonly QueueSelection All = new();
    private readonly QueueChanges _changes = new();
    private readonly QueueState _state = new(new QueueLimits { MaxBatch = 3 });
    private long _stamp = 5000;

    [Fact]
    public void A_held_message_begins_no_attempt_until_it_is_released()
    {
        Enqueue(1);
        Enqueue(2);
        Assert.Equal((1, false), Administer(QueueAction.Hold, new QueueSelection { Ids = [Of(1), Of(9)] }));
        Assert.Equal(ApplyStatus.Held, Apply(Start(1)));
        Assert.Equal(ApplyStatus.Accepted, Apply(Start(2)));
        Assert.Equal((1, 1), (_state.Counts.Held, _state.Counts.Attempting));
        Assert.Equal((0, false), Administer(QueueAction.Hold, new QueueSelection { Ids = [Of(1)] }));
        Assert.Equal((1, false), Administer(QueueAction.Release, All));
        Assert.Equal(ApplyStatus.Accepted, Apply(Start(1)));
    }

    [Fact]
    public void An_attempt_that_was_under_way_when_the_message_was_held_is_recorded()
    {
        Enqueue(1);
        Apply(Start(1));
        Administer(QueueAction.Hold, All);
        Assert.Equal(ApplyStatus.Accepted, Apply(new AttemptEndedCommand(
            Of(1), 0, 1, [new RecipientResult(0, RecipientOutcome.Delivered, "", "2.0.0", "")], [])));
        Assert.Equal(0, _state.Count);
    }

    [Fact]
    public void A_command_changes_the_oldest_up_to_its_limit_and_says_whether_more_match()
    {
        for (var i = 5u; i >= 1; i--)
        {
            Enqueue(i);
        }

        Assert.Equal(ApplyStatus.Invalid, Apply(new AdministerCommand(QueueAction.Hold, All, 4)));
        Assert.Equal((3, true), Administer(QueueAction.Hold, All));
        Assert.Equal([Of(1), Of(2), Of(3)], _state.Messages.Where(m => m.IsHeld).Select(m => m.Id).Order());
        Assert.Equal((2, false), Administer(QueueAction.Hold, All));
        Assert.Equal(5, _state.Counts.Held);
    }

    [Fact]
    public void A_requeued_message_is_due_now()
    {
        Enqueue(1);
        Apply(Start(1));
        Apply(new AttemptEndedCommand(Of(1), 0, 1, [new RecipientResult(0, RecipientOutcome.Deferred, "", "4.0.0", "", 900_000)], []));
        Assert.Equal((1, false), Administer(QueueAction.Requeue, new QueueSelection { State = MessageState.Deferred }));
        Assert.Equal(_stamp - 1, Assert.Single(_state.Messages).Recipients[0].NextAttemptAt);
        Assert.Equal((0, false), Administer(QueueAction.Requeue, All));
    }

    [Fact]
    public void A_message_that_is_due_is_requeued_once_until_its_next_attempt_if_that_is_asked_for()
    {
        Enqueue(1);
        Enqueue(2);
        Apply(Start(2));
        Assert.Equal((0, false), Administer(QueueAction.Requeue, All));
        var command = new AdministerCommand(QueueAction.Requeue, All, 3) { IncludesDue = true };
        Assert.Equal((1, 0), (Matched(command), Matched(command)));
        Assert.Equal(0, _state.Messages.Single(message => message.Id == Of(1)).Recipients[0].NextAttemptAt);

        Apply(Start(1));
        Apply(new AttemptEndedCommand(Of(1), 0, 1, [new RecipientResult(0, RecipientOutcome.Deferred, "", "4.0.0", "", 900_000)], []));
        Assert.Equal((1, 0), (Matched(command), Matched(command)));

        int Matched(AdministerCommand requeue)
        {
            Assert.Equal(ApplyStatus.Accepted, Apply(requeue));
            return _changes.Matched;
        }
    }

    [Fact]
    public void A_deleted_message_is_gone_without_a_notice_and_listed_as_removed()
    {
        Enqueue(1);
        Apply(Start(1));
        _changes.Clear();
        Assert.Equal(ApplyStatus.Accepted, Apply(new AdministerCommand(QueueAction.Delete, All, 3, "spam")));
        Assert.Equal(Of(1), Assert.Single(_changes.ReleasedBodies));
        var removal = Assert.Single(_state.Removals);
        Assert.Equal((Of(1), "s@x.example", 1, 1, "spam"),
            (removal.Id, removal.ReversePath, removal.Recipients, removal.InDoubt, removal.Reason));
        Assert.Empty(_state.Suspects);
        Assert.Equal(ApplyStatus.NotFound, Apply(new AttemptEndedCommand(
            Of(1), 0, 1, [new RecipientResult(0, RecipientOutcome.Delivered, "", "2.0.0", "")], [])));
        Assert.Empty(_state.Suspects);
    }

    [Fact]
    public void A_selection_means_what_meets_all_its_conditions()
    {
        Enqueue(1, "one@a.example");
        Enqueue(2, "two@b.example");
        _stamp += 1000;
        Enqueue(3, "one@A.example");
        Assert.Equal([1, 3], Page(new QueueSelection { Domain = "A.EXAMPLE" }));
        Assert.Equal([1], Page(new QueueSelection { Domain = "a.example", MinAge = 1000 }));
        Assert.Equal([2], Page(new QueueSelection { Recipient = "TWO@b.example" }));
        Assert.Equal([1, 2, 3], Page(new QueueSelection { Sender = "S@X.example" }));
        Assert.Empty(Page(new QueueSelection { Sender = "" }));
        Assert.Equal([3], Page(new QueueSelection { Ids = [Of(3), Of(7)] }));
        Assert.Empty(Page(new QueueSelection { State = MessageState.Held }));
        Assert.Equal([2], [.. QueueListing.Page(_state.Messages, All, Of(1), 1, _stamp).Messages.Select(m => (int)m.Id.RandomPart)]);
        Assert.Equal(
            [new DomainCounts("a.example", 2, 0, 0, 0), new DomainCounts("b.example", 1, 0, 0, 0)],
            QueueListing.CountByDomain(_state.Messages));
    }

    [Fact]
    public void A_suspended_destination_gets_nothing_until_it_is_resumed()
    {
        Enqueue(1, "r@a.example");
        Enqueue(2, "r@b.example");
        Assert.Equal(ApplyStatus.Accepted, Apply(new SuspendCommand(SuspensionScope.Destination, "A.example.", "they asked")));
        Assert.Equal(ApplyStatus.Suspended, Apply(Start(1)));
        Assert.Equal(ApplyStatus.Accepted, Apply(Start(2)));
        Assert.Equal(ApplyStatus.NotFound, Apply(new ResumeCommand(SuspensionScope.Sender, "a.example")));
        Assert.Equal(ApplyStatus.Accepted, Apply(new ResumeCommand(SuspensionScope.Destination, "a.EXAMPLE")));
        Assert.Equal(ApplyStatus.NotFound, Apply(new ResumeCommand(SuspensionScope.Destination, "a.example")));
        Assert.Equal(ApplyStatus.Accepted, Apply(Start(1)));
    }

    [Fact]
    public void A_suspension_ends_at_its_time()
    {
        Enqueue(1);
        Assert.Equal(ApplyStatus.Invalid, Apply(new SuspendCommand(SuspensionScope.Sender, "s@x.example", "", _stamp)));
        Assert.Equal(ApplyStatus.Accepted, Apply(new SuspendCommand(SuspensionScope.Sender, "S@x.example", "", _stamp + 100)));
        Assert.Equal(ApplyStatus.Suspended, Apply(Start(1)));
        _stamp += 100;
        _changes.Clear();
        Assert.Equal(ApplyStatus.Accepted, Apply(Start(1)));
        Assert.Equal((SuspensionScope.Sender, "s@x.example", null), Assert.Single(_changes.Suspensions));
        Assert.Empty(_state.Suspensions);
    }

    private static QueueId Of(uint n) => QueueId.Create(1000, n);

    private static AttemptStartedCommand Start(uint n) => new(Of(n), 0, 1, [0]);

    private int[] Page(QueueSelection selection) =>
        [.. QueueListing.Page(_state.Messages, selection, null, 10, _stamp).Messages.Select(m => (int)m.Id.RandomPart)];

    private (int Matched, bool HasMore) Administer(QueueAction action, QueueSelection selection)
    {
        Assert.Equal(ApplyStatus.Accepted, Apply(new AdministerCommand(action, selection, 3)));
        return (_changes.Matched, _changes.HasMore);
    }

    private void Enqueue(uint n, string recipient = "r@y") => Apply(new EnqueueCommand(
        Of(n), new Envelope("s@x.example", [new EnvelopeRecipient(recipient)]), 10, BodyTraits.None, new byte[16], [], "a"));

    private ApplyStatus Apply(QueueCommand command) => _state.Apply(command, _stamp++, _changes);
}
