using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Queue;

public sealed class OwnershipTests
{
    private const long Wait = 60_000;

    private static readonly QueueId Id = QueueId.Create(1000, 1);
    private readonly QueueChanges _changes = new();
    private readonly QueueState _state = new();
    private long _stamp = 5000;

    [Fact]
    public void An_Enqueue_with_too_few_copies_is_refused_and_its_body_released()
    {
        Form();
        Assert.Equal(ApplyStatus.TooFewCopies, Apply(Message(Id, "a")));
        Assert.Equal(Id, Assert.Single(_changes.ReleasedBodies));
        Assert.Equal(ApplyStatus.Abandoned, Apply(Message(Id, "a", "b")));
        Assert.Equal(ApplyStatus.TooFewCopies, Apply(Message(Of(2), "a", "a")));
        Assert.Equal(ApplyStatus.TooFewCopies, Apply(Message(Of(3), "a", "b") with { Owner = "d" }));
        Assert.Equal(ApplyStatus.Accepted, Apply(Message(Of(4), "a", "b")));
        Apply(new NodesChangedCommand([new("a", 1), new("b", 2), new("c", 1)], 2));
        Assert.Equal(ApplyStatus.TooFewCopies, Apply(Message(Of(5), "a", "b")));
    }

    [Fact]
    public void A_body_in_the_log_is_held_by_the_members_that_follow_it()
    {
        Form();
        Assert.Equal(ApplyStatus.Accepted, Apply(Message(Id, "b") with { Holders = [], Body = new byte[50] }));
        Assert.Equal([new BodyHolder("a", 1), new BodyHolder("b", 1), new BodyHolder("c", 1)], Found(Id).Holders);
        Assert.Equal((Id, 50), (_changes.CarriedBodies.Single().Id, _changes.CarriedBodies.Single().Body.Length));
        Assert.Equal("b", Found(Id).Owner);

        Apply(new NodeDownCommand("c", 1));
        Apply(Message(Of(2), "b") with { Holders = [], Body = new byte[50] });
        Assert.Equal([new BodyHolder("a", 1), new BodyHolder("b", 1)], Found(Of(2)).Holders);

        // Whoever committed it has it, however the leader sees them.
        Apply(new NodeDownCommand("a", 1));
        Apply(Message(Of(3), "b") with { Holders = [], Body = new byte[50] });
        Assert.Equal(3, Found(Of(3)).Holders.Count);
        Assert.Equal(ApplyStatus.TooFewCopies, Apply(Message(Of(4), "d") with { Holders = [], Body = new byte[50] }));
        Assert.Equal(ApplyStatus.Invalid, Apply(Message(Of(5), "b") with { Holders = [], Body = new byte[(1 << 20) + 1] }));
    }

    [Fact]
    public void A_body_in_the_log_is_refused_where_more_disks_than_a_majority_must_have_it()
    {
        Apply(new NodesChangedCommand([new("a", 1), new("b", 1), new("c", 1)], 3, Wait));
        Assert.Equal(ApplyStatus.TooFewCopies, Apply(Message(Id, "a") with { Holders = [], Body = new byte[50] }));
        Assert.Equal(ApplyStatus.Accepted, Apply(Message(Of(2), "a", "b", "c")));
    }

    [Fact]
    public void A_notices_body_comes_in_the_log_too()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        _changes.Clear();
        var notice = Message(Of(2), "a") with { Holders = [], Body = new byte[50] };
        Assert.Equal(ApplyStatus.Accepted, Apply(new AttemptEndedCommand(
            Id, Found(Id).Epoch, 1, [new RecipientResult(0, RecipientOutcome.Bounced, "no", "5.0.0", "mx")], [notice])));
        Assert.Equal(3, Found(Of(2)).Holders.Count);
        Assert.Equal(Of(2), Assert.Single(_changes.CarriedBodies).Id);
    }

    [Fact]
    public void A_lone_nodes_queue_has_no_such_rules()
    {
        Assert.Equal(ApplyStatus.Accepted, Apply(Message(Id, "a") with { Holders = [] }));
        Assert.Equal(ApplyStatus.NotFound, Apply(new NodeDownCommand("a", 1)));
        Assert.Equal(ApplyStatus.NotFound, Apply(new NodeUpCommand("a", 1, 1)));
        Assert.Equal(ApplyStatus.NotFound, Apply(new NodeDrainingCommand("a", true)));
        Assert.Equal(default, _state.Copies);
    }

    [Fact]
    public void A_lost_nodes_messages_go_to_holders_that_are_up()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        _changes.Clear();
        Assert.Equal(ApplyStatus.Accepted, Apply(new NodeDownCommand("a", 1)));
        var message = Found(Id);
        Assert.Equal("b", message.Owner);
        Assert.Equal(new OwnerMove(message, "a"), Assert.Single(_changes.Moved));
        Assert.Empty(_changes.Messages);
        Assert.Equal(ApplyStatus.StaleEpoch, Apply(new AttemptStartedCommand(Id, 0, 1, [0])));
        Assert.Equal(ApplyStatus.Accepted, Apply(new AttemptStartedCommand(Id, message.Epoch, 1, [0])));
        Assert.Equal(ApplyStatus.Conflict, Apply(new NodeDownCommand("a", 1)));
        Assert.Equal(ApplyStatus.NotFound, Apply(new NodeDownCommand("a", 2)));
    }

    [Fact]
    public void A_message_without_a_living_holder_waits_for_one()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        Apply(new NodeDownCommand("b", 1));
        Apply(new NodeDownCommand("a", 1));
        Assert.Equal("a", Found(Id).Owner);
        Assert.Equal(1, _state.Copies.WithoutOwner);
        Assert.Equal(ApplyStatus.StaleEpoch, Apply(new AttemptStartedCommand(Id, 0, 1, [0])));
        Assert.Equal(ApplyStatus.Accepted, Apply(new NodeUpCommand("b", 1, 7)));
        Assert.Equal("b", Found(Id).Owner);
        Assert.Equal(0, _state.Copies.WithoutOwner);
        Assert.Equal(ApplyStatus.Conflict, Apply(new NodeUpCommand("b", 1, 7)));
        Assert.Equal(ApplyStatus.StaleEpoch, Apply(new NodeUpCommand("b", 1, 6)));
        Apply(new NodeUpCommand("a", 1, 1));
        Assert.Equal("b", Found(Id).Owner);
    }

    [Fact]
    public void A_node_that_begins_a_new_life_unnoticed_leaves_its_old_one_behind()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        Apply(new AttemptStartedCommand(Id, 0, 1, [0]));
        Assert.Equal(ApplyStatus.Accepted, Apply(new NodeUpCommand("a", 1, 2)));
        Assert.Equal(RecipientState.OwnerLost, Found(Id).Recipients[0].State);
        Assert.Equal("a", Found(Id).Owner);
        Assert.Equal(_state.EpochOf("a"), Found(Id).Epoch);
        Assert.True(Found(Id).Epoch > 0);
    }

    [Fact]
    public void A_result_that_comes_in_time_leaves_no_listing()
    {
        LoseAttempt();
        Assert.Equal(ApplyStatus.Conflict, Apply(new AttemptStartedCommand(Id, Found(Id).Epoch, 2, [0])));
        _stamp += Wait / 2;
        Assert.Equal(ApplyStatus.Accepted, Apply(Ended(0, 1, RecipientOutcome.Delivered)));
        Assert.Empty(_state.Suspects);
        Assert.Equal(0, _state.Count);
    }

    [Fact]
    public void After_the_wait_a_new_attempt_lists_the_lost_one_once()
    {
        LoseAttempt();
        _stamp += Wait;
        Assert.Equal(ApplyStatus.Accepted, Apply(new AttemptStartedCommand(Id, Found(Id).Epoch, 2, [0])));
        AssertListedOnce();
        Assert.Equal(ApplyStatus.Conflict, Apply(Ended(0, 1, RecipientOutcome.Delivered)));
        Assert.Equal(ApplyStatus.Accepted, Apply(Ended(Found(Id).Epoch, 2, RecipientOutcome.Delivered)));
        AssertListedOnce();
    }

    [Fact]
    public void After_the_wait_a_failure_before_the_dot_lists_the_lost_attempt_once()
    {
        LoseAttempt();
        var failed = Ended(Found(Id).Epoch, 2, RecipientOutcome.Deferred);
        Assert.Equal(ApplyStatus.Conflict, Apply(failed));
        _stamp += Wait;
        Assert.Equal(ApplyStatus.Accepted, Apply(failed));
        AssertListedOnce();
        Assert.Equal(ApplyStatus.StaleEpoch, Apply(Ended(0, 1, RecipientOutcome.Delivered)));
        AssertListedOnce();
    }

    [Fact]
    public void A_lost_attempt_is_given_up_once_and_not_too_early()
    {
        LoseAttempt();
        var giveUp = new AttemptGivenUpCommand(Id, Found(Id).Epoch, 1, [0]);
        Assert.Equal(ApplyStatus.Conflict, Apply(giveUp));
        _stamp += Wait;
        Assert.Equal(ApplyStatus.StaleEpoch, Apply(giveUp with { Epoch = 0 }));
        Assert.Equal(ApplyStatus.Conflict, Apply(giveUp with { Attempt = 2 }));
        Assert.Equal(ApplyStatus.Conflict, Apply(giveUp with { Recipients = [0, 0] }));
        Assert.Empty(_state.Suspects);
        Assert.Equal(ApplyStatus.Accepted, Apply(giveUp));
        AssertListedOnce();
        Assert.Equal(RecipientState.Queued, Found(Id).Recipients[0].State);
        Assert.Equal(ApplyStatus.Conflict, Apply(giveUp));
        AssertListedOnce();
    }

    [Fact]
    public void A_stale_owners_result_never_passes_for_that_of_another_owners_attempt_of_the_same_number()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        Apply(new NodeDownCommand("a", 1));
        Assert.Equal(ApplyStatus.Accepted, Apply(new AttemptStartedCommand(Id, Found(Id).Epoch, 1, [0])));
        Assert.Equal(ApplyStatus.Conflict, Apply(Ended(0, 1, RecipientOutcome.Deferred)));
        Assert.Equal(RecipientState.Attempting, Found(Id).Recipients[0].State);
        Assert.Equal(ApplyStatus.Accepted, Apply(Ended(Found(Id).Epoch, 1, RecipientOutcome.Delivered)));
    }

    [Fact]
    public void Draining_moves_what_has_no_open_attempt_at_once_and_the_rest_when_it_ends()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        Apply(Message(Of(2), "a", "b"));
        Apply(Message(Of(3), "a", "b"));
        Apply(new AttemptStartedCommand(Id, 0, 1, [0]));
        Apply(new NodeDownCommand("b", 1));
        Assert.Equal(ApplyStatus.Accepted, Apply(new NodeDrainingCommand("a", true)));
        Assert.Equal(3, _state.CountOwnedBy("a"));
        Apply(new NodeUpCommand("b", 1, 1));
        Assert.Equal((1, 2), (_state.CountOwnedBy("a"), _state.CountOwnedBy("b")));
        Assert.Equal(ApplyStatus.Accepted, Apply(new NodeDrainingCommand("a", true)));
        Assert.Equal(ApplyStatus.Accepted, Apply(Ended(0, 1, RecipientOutcome.Deferred)));
        Assert.Equal(3, _state.CountOwnedBy("b"));
        Assert.Equal(ApplyStatus.Accepted, Apply(Message(Of(4), "a", "b")));
        Assert.Equal("b", Found(Of(4)).Owner);
        Apply(new NodeDrainingCommand("a", false));
        Apply(Message(Of(5), "a", "b"));
        Assert.Equal("a", Found(Of(5)).Owner);
        Assert.Equal(4, _state.CountOwnedBy("b"));
    }

    [Fact]
    public void A_page_of_those_that_want_copies_looks_at_no_other_messages()
    {
        const int Count = 10_000;
        Form();
        for (var i = 1u; i <= Count; i++)
        {
            // Each with a list of holders of its own, so many that what was found out about one is forgotten: looking at it again takes memory.
            var message = Message(Of(i), "a", "b");
            Assert.Equal(ApplyStatus.Accepted, Apply(message with { Holders = [.. message.Holders, new BodyHolder("gone", i)] }));
        }

        Apply(new NodesChangedCommand([new("a", 1), new("b", 2), new("c", 1)], 2));
        Assert.Equal(Count, _state.Copies.TooFew);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var page = _state.MessagesWantingCopies(Of(Count / 2), 10);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 10_000);
        Assert.Equal(Enumerable.Range((Count / 2) + 1, 10).Select(i => Of((uint)i)), page.Select(m => m.Id));
        Assert.Empty(_state.MessagesWantingCopies(Of(Count), 10));
    }

    [Fact]
    public void A_disk_that_is_to_be_vacated_counts_for_what_comes_and_not_for_what_is_kept()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        Apply(new NodeDrainingCommand("a", true));
        Assert.Equal(default, _state.Copies);
        var marks = _state.Marks;
        Assert.Equal(ApplyStatus.Accepted, Apply(new NodeDrainingCommand("a", true, true)));
        Assert.Equal((new CopyCounts(1, 0, 0), marks), (_state.Copies, _state.Marks));
        Assert.Equal(ApplyStatus.Accepted, Apply(Message(Of(2), "b", "a")));
        Assert.Equal([Id, Of(2)], _state.MessagesWantingCopies(null, 10).Select(m => m.Id));
        Apply(new HoldersChangedCommand([Id, Of(2)], new("c", 1), true));
        Assert.Equal(default, _state.Copies);

        // A stop says that it drains once more; what it was asked for before still holds.
        Apply(new NodeDrainingCommand("a", true));
        Assert.True(_state.Members!.Find("a")!.IsVacating);
        Apply(Message(Of(3), "b", "a"));
        Assert.Equal(1, _state.Copies.TooFew);
        Apply(new NodeUpCommand("a", 1, 7));
        Assert.Equal((default, new QueueNode("a", 1, 7, false, false)), (_state.Copies, _state.Members!.Find("a")));
    }

    [Fact]
    public void A_disk_is_vacated_onto_disks_that_are_up()
    {
        Apply(new NodesChangedCommand([new("v", 1), new("w", 1), new("x", 1), new("y", 1), new("z", 1)], 3, Wait));
        Apply(Message(Id, "x", "y", "z"));
        Apply(new NodeDownCommand("y", 1));
        Assert.Equal(0, _state.Copies.TooFew);
        Apply(new NodeDrainingCommand("x", true, true));
        foreach (var next in (string[])["w", "v"])
        {
            Assert.Equal(new DiskDependence(1, 1, 0), On("x"));
            Assert.Equal(1, _state.Copies.TooFew);
            Apply(new HoldersChangedCommand([Id], new(next, 1), true));
        }

        Assert.Equal((new DiskDependence(1, 0, 0), 0), (On("x"), _state.Copies.TooFew));

        // No more can be made than there are disks for.
        Apply(new NodeDownCommand("w", 1));
        Assert.Equal((new DiskDependence(1, 1, 0), 0), (On("x"), _state.Copies.TooFew));
    }

    [Fact]
    public void Where_there_are_no_more_disks_fewer_copies_are_wanted()
    {
        Apply(new NodesChangedCommand([new("a", 1), new("b", 1)], 2, Wait));
        Apply(Message(Id, "a", "b"));
        Apply(new NodeDrainingCommand("a", true, true));
        Assert.Equal(default, _state.Copies);
        Apply(new HoldersChangedCommand([Id], new("b", 1), false));
        Assert.Equal(1, _state.Copies.TooFew);
    }

    [Fact]
    public void What_depends_on_a_disk_is_what_has_too_few_living_copies_elsewhere()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        Apply(Message(Of(2), "b", "c"));
        Apply(Message(Of(3), "a", "c", "b"));
        Assert.Equal(new DiskDependence(2, 1, 0), On("a"));
        Apply(new NodeDownCommand("c", 1));
        Assert.Equal(new DiskDependence(2, 2, 0), On("a"));
        Apply(new HoldersChangedCommand([Id], new("b", 1), false));
        Assert.Equal(new DiskDependence(2, 2, 1), On("a"));
        Assert.Equal(2, DiskDependence.WantedWithout(_state.Members!, "a"));
        Apply(new NodeDrainingCommand("b", true, true));
        Assert.Equal(1, DiskDependence.WantedWithout(_state.Members!, "a"));
        Assert.Equal(default, On("d"));
    }

    private DiskDependence On(string node) => DiskDependence.Of(_state.Messages, _state.Members!, node);

    [Fact]
    public void A_new_copy_gives_a_waiting_message_an_owner_and_counts_once()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        Apply(new NodesChangedCommand([new("a", 2), new("b", 2), new("c", 1)], 2));
        Assert.Equal(new CopyCounts(1, 1, 1), _state.Copies);
        Assert.Equal(Id, Assert.Single(_state.MessagesWantingCopies(null, 10)).Id);
        Assert.Empty(_state.MessagesWantingCopies(Id, 10));
        Assert.Equal(ApplyStatus.Conflict, Apply(new HoldersChangedCommand([Id], new("a", 1), true)));
        var added = new HoldersChangedCommand([Id, Of(9)], new("c", 1), true);
        Assert.Equal(ApplyStatus.Accepted, Apply(added));
        Assert.Equal(ApplyStatus.Accepted, Apply(added));
        Assert.Equal("c", Found(Id).Owner);
        Assert.Equal([new BodyHolder("c", 1)], Found(Id).Holders);
        Assert.Equal(new CopyCounts(1, 0, 0), _state.Copies);
        Apply(new HoldersChangedCommand([Id], new("a", 2), true));
        Assert.Equal(default, _state.Copies);
        Apply(new HoldersChangedCommand([Id], new("c", 1), false));
        Assert.Equal(("a", new CopyCounts(1, 0, 0)), (Found(Id).Owner, _state.Copies));
    }

    [Fact]
    public void An_older_membership_and_a_repeated_one_change_nothing()
    {
        var nodes = new BodyHolder[] { new("a", 1), new("b", 1), new("c", 1) };
        Assert.Equal(ApplyStatus.Accepted, Apply(new NodesChangedCommand(nodes, 2, Version: 5)));
        var members = _state.Members;
        var marks = _state.Marks;
        Assert.Equal(ApplyStatus.StaleEpoch, Apply(new NodesChangedCommand(nodes[..1], 1, Version: 4)));
        Assert.Equal(ApplyStatus.Accepted, Apply(new NodesChangedCommand([.. nodes.Reverse()], 2, Version: 5)));
        Assert.Equal((members, marks), (_state.Members, _state.Marks));
        Assert.Equal(ApplyStatus.Invalid, Apply(new NodesChangedCommand(nodes, 4, Version: 6)));
        Assert.Equal(ApplyStatus.Invalid, Apply(new NodesChangedCommand([nodes[0], nodes[0]], 1, Version: 6)));
    }

    private static QueueId Of(uint n) => QueueId.Create(1000, n);

    private static EnqueueCommand Message(QueueId id, params string[] holders) => new(
        id, new Envelope("s@x", [new EnvelopeRecipient("r@y")]), 10, BodyTraits.None, new byte[16],
        [.. holders.Select(h => new BodyHolder(h, 1))], holders[0]);

    private static AttemptEndedCommand Ended(long epoch, int attempt, RecipientOutcome outcome) =>
        new(Id, epoch, attempt, [new RecipientResult(0, outcome, "reply", "2.0.0", "hop", 9000)], []);

    private void Form() => Apply(new NodesChangedCommand([new("a", 1), new("b", 1), new("c", 1)], 2, Wait));

    private void LoseAttempt()
    {
        Form();
        Apply(Message(Id, "a", "b"));
        Apply(new AttemptStartedCommand(Id, 0, 1, [0]));
        Apply(new NodeDownCommand("a", 1));
        Assert.Equal(("b", RecipientState.OwnerLost), (Found(Id).Owner, Found(Id).Recipients[0].State));
        Assert.Equal(1, _state.Counts.Attempting);
        Assert.Empty(_state.Suspects);
    }

    private void AssertListedOnce()
    {
        var suspect = Assert.Single(_state.Suspects).Suspect;
        Assert.Equal((SuspectReason.OwnerLost, "r@y", 1), (suspect.Reason, suspect.Recipient, suspect.Attempt));
    }

    private QueuedMessage Found(QueueId id) => _state.TryGet(id, out var message) ? message : throw new KeyNotFoundException();

    private ApplyStatus Apply(QueueCommand command) => _state.Apply(command, _stamp++, _changes);
}
