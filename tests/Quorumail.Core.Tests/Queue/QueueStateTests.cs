using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Queue;

public sealed class QueueStateTests
{
    private static readonly QueueId Id = QueueId.Create(1000, 1);
    private static readonly QueueId NoticeId = QueueId.Create(1000, 2);
    private readonly QueueChanges _changes = new();
    private QueueState _state = new();
    private long _stamp = 5000;

    [Fact]
    public void The_first_of_Enqueue_and_Abandon_wins()
    {
        Assert.Equal(ApplyStatus.Accepted, Apply(new AbandonCommand(Id)));
        Assert.Equal(Id, Assert.Single(_changes.ReleasedBodies));
        Assert.Equal(ApplyStatus.Abandoned, Apply(Message(Id)));
        var other = QueueId.Create(1000, 9);
        Assert.Equal(ApplyStatus.Accepted, Apply(Message(other)));
        Assert.Equal(ApplyStatus.Conflict, Apply(new AbandonCommand(other)));
        Assert.True(_state.TryGet(other, out _));
        Assert.Equal(ApplyStatus.Collision, Apply(Message(other)));
    }

    [Fact]
    public void A_withdrawn_message_is_removed_before_its_first_attempt()
    {
        Apply(Message(Id));
        _changes.Clear();
        Assert.Equal(ApplyStatus.Accepted, Apply(new WithdrawCommand(Id)));
        Assert.Equal(new QueueChange(Id, null), Assert.Single(_changes.Messages));
        Assert.Equal(Id, Assert.Single(_changes.ReleasedBodies));
        Assert.Equal(ApplyStatus.NotFound, Apply(new AttemptStartedCommand(Id, 0, 1, [0])));
        Assert.Empty(_state.Suspects);
    }

    [Fact]
    public void A_withdrawn_message_is_listed_once_an_attempt_has_begun()
    {
        Apply(Message(Id));
        Apply(new AttemptStartedCommand(Id, 0, 1, [0]));
        Assert.Equal(ApplyStatus.Conflict, Apply(new WithdrawCommand(Id)));
        Assert.Equal(SuspectReason.Answered451, Assert.Single(_state.Suspects).Suspect.Reason);
        Assert.True(_state.TryGet(Id, out _));
    }

    [Fact]
    public void A_message_that_had_come_to_its_end_when_it_was_withdrawn_is_listed()
    {
        Apply(Message(Id));
        Apply(Ended(1, RecipientOutcome.Delivered));
        Assert.Equal(ApplyStatus.Conflict, Apply(new WithdrawCommand(Id)));
        Assert.Equal(SuspectReason.Answered451, Assert.Single(_state.Suspects).Suspect.Reason);
        Assert.Equal(ApplyStatus.Abandoned, Apply(Message(Id)));
    }

    [Fact]
    public void A_withdrawn_id_that_is_too_old_to_tell_is_listed_and_a_younger_one_is_not()
    {
        _state = new QueueState(new QueueLimits { MaxFinished = 1 });
        foreach (var id in new[] { Id, QueueId.Create(2000, 1) })
        {
            Apply(Message(id));
            Apply(Ended(1, RecipientOutcome.Delivered) with { Id = id });
        }

        Assert.Equal(ApplyStatus.Accepted, Apply(new WithdrawCommand(QueueId.Create(1001, 1))));
        Assert.Empty(_state.Suspects);
        Assert.Equal(ApplyStatus.Accepted, Apply(new WithdrawCommand(Id)));
        Assert.Single(_state.Suspects);
    }

    [Fact]
    public void A_message_that_was_delivered_while_it_was_withdrawn_is_listed()
    {
        Apply(Message(Id));
        Apply(new WithdrawCommand(Id));
        Assert.Equal(ApplyStatus.NotFound, Apply(Ended(1, RecipientOutcome.Delivered)));
        Assert.Equal(SuspectReason.Answered451, Assert.Single(_state.Suspects).Suspect.Reason);
    }

    [Fact]
    public void An_unread_250_is_listed_whether_or_not_the_message_is_still_there()
    {
        Assert.Equal(ApplyStatus.Accepted, Apply(new ReportUnreadReplyCommand(Id)));
        Assert.Equal(SuspectReason.Unread250, Assert.Single(_state.Suspects).Suspect.Reason);
    }

    [Fact]
    public void A_restarted_owners_open_attempt_is_listed_and_its_epoch_is_stale()
    {
        Apply(Message(Id));
        Apply(new AttemptStartedCommand(Id, 0, 1, [0]));
        Assert.Equal(1, _state.Counts.Attempting);
        Apply(new OwnerRestartedCommand("a"));
        var suspect = Assert.Single(_state.Suspects).Suspect;
        Assert.Equal((SuspectReason.OwnerLost, "r@y", 1), (suspect.Reason, suspect.Recipient, suspect.Attempt));
        Assert.Equal(ApplyStatus.StaleEpoch, Apply(new AttemptStartedCommand(Id, 0, 2, [0])));
        Assert.Equal(ApplyStatus.StaleEpoch, Apply(Ended(2, RecipientOutcome.Delivered)));
        Assert.Equal(ApplyStatus.Accepted, Apply(new AttemptStartedCommand(Id, 1, 2, [0])));
    }

    [Fact]
    public void A_result_of_an_accepted_attempt_is_taken_from_a_stale_owner()
    {
        Apply(Message(Id));
        Apply(new NodesChangedCommand([new("a", 1), new("b", 1)], 1));
        Apply(new AttemptStartedCommand(Id, 0, 1, [0]));
        Apply(new NodeUpCommand("a", 1, 5));
        Assert.Equal(ApplyStatus.Accepted, Apply(Ended(1, RecipientOutcome.Delivered, epoch: 0)));
        Assert.Equal(0, _state.Count);
    }

    [Fact]
    public void A_result_and_its_notice_are_one_step()
    {
        Apply(Message(Id));
        Assert.Equal(ApplyStatus.Accepted, Apply(Ended(1, RecipientOutcome.Bounced) with { Notices = [Message(NoticeId)] }));
        Assert.True(_state.TryGet(NoticeId, out _));
        Assert.False(_state.TryGet(Id, out _));
    }

    [Fact]
    public void A_refused_result_gives_up_its_notice_and_a_repeated_one_leaves_it()
    {
        Apply(Message(Id));
        var ended = Ended(1, RecipientOutcome.Bounced) with { Notices = [Message(NoticeId)] };
        Assert.Equal(ApplyStatus.StaleEpoch, Apply(ended with { Epoch = 3 }));
        Assert.Contains(NoticeId, _changes.ReleasedBodies);
        Assert.Equal(ApplyStatus.Abandoned, Apply(ended));
        var renewed = ended with { Notices = [Message(QueueId.Create(1000, 3))] };
        Assert.Equal(ApplyStatus.Accepted, Apply(renewed));
        _changes.Clear();
        Assert.Equal(ApplyStatus.NotFound, Apply(renewed));
        Assert.Empty(_changes.ReleasedBodies);
        Assert.Equal(1, _state.Count);
    }

    [Fact]
    public void A_late_start_is_refused_after_its_attempt_was_ended()
    {
        Apply(Message(Id));
        Apply(Ended(1, RecipientOutcome.Deferred));
        Assert.Equal(ApplyStatus.Conflict, Apply(new AttemptStartedCommand(Id, 0, 1, [0])));
    }

    [Fact]
    public void An_id_older_than_a_forgotten_tombstone_is_refused_but_not_a_notice()
    {
        _state = new QueueState(new QueueLimits { MaxTombstones = 1 });
        Apply(new AbandonCommand(Id));
        Apply(new AbandonCommand(QueueId.Create(2000, 1)));
        Assert.Equal(1000, _state.IdFloor);
        Assert.Equal(ApplyStatus.Abandoned, Apply(Message(Id)));
        Assert.Equal(ApplyStatus.Abandoned, Apply(Message(QueueId.Create(1000, 8))));
        Assert.Equal(ApplyStatus.Accepted, Apply(Message(QueueId.Create(1001, 8))));
        var ended = new AttemptEndedCommand(
            QueueId.Create(1001, 8), 0, 1, [new RecipientResult(0, RecipientOutcome.Bounced, "", "5.0.0", "")], [Message(NoticeId)]);
        Assert.Equal(ApplyStatus.Accepted, Apply(ended));
    }

    [Fact]
    public void Suspects_leave_the_list_after_thirty_days_or_when_it_is_full()
    {
        _state = new QueueState(new QueueLimits { MaxSuspects = 2 });
        for (var i = 0; i < 3; i++)
        {
            Apply(new ReportUnreadReplyCommand(QueueId.Create(i, 0)));
        }

        Assert.Equal([1L, 2L], _state.Suspects.Select(s => s.Sequence));
        Assert.Equal(1, _state.Marks.SuspectsOverflowed);
        _stamp += (long)TimeSpan.FromDays(31).TotalMilliseconds;
        Apply(new AbandonCommand(Id));
        Assert.Empty(_state.Suspects);
    }

    private ApplyStatus Apply(QueueCommand command) => _state.Apply(command, _stamp++, _changes);

    private static EnqueueCommand Message(QueueId id) => new(
        id, new Envelope("s@x", [new EnvelopeRecipient("r@y")]), 10, BodyTraits.None, new byte[16], [new BodyHolder("a", 1)], "a");

    private static AttemptEndedCommand Ended(int attempt, RecipientOutcome outcome, long epoch = 0) =>
        new(Id, epoch, attempt, [new RecipientResult(0, outcome, "reply", "2.0.0", "hop", 9000)], []);
}
