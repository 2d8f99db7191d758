using CsCheck;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Queue;

public sealed class QueueStateProperties
{
    private static readonly QueueLimits Small = new()
    {
        MaxSuspects = 4,
        SuspectLifetime = 200,
        MaxTombstones = 3,
        TombstoneLifetime = 150,
        MaxFinished = 2,
        MovesPerSave = 1,
        SaveInterval = 15,
        MaxPlacements = 5,
        MaxSuspensions = 2,
        MaxRemovals = 2,
    };

    [Fact]
    public void Whatever_is_proposed_the_promises_hold() => QueueCommands.Sequence.Sample(CheckPromises, iter: 400);

    [Fact]
    public void Whatever_is_proposed_in_a_cluster_the_promises_hold() => QueueCommands.ClusterSequence.Sample(CheckPromises, iter: 1000);

    private static void CheckPromises((QueueCommand Command, int Wait)[] steps)
    {
        var state = new QueueState(Small);
        var owners = new OwnershipRules();
        var changes = new QueueChanges();
        var released = new HashSet<QueueId>();
        var stamp = 0L;
        foreach (var (proposed, wait) in steps)
        {
            var command = QueueCommands.AtEpochOf(state, proposed);
            stamp += wait;
            changes.Clear();
            var before = QueueStore.Dump(state);
            var messagesBefore = state.Messages.ToDictionary(m => m.Id);
            var status = state.Apply(command, stamp, changes);

            Assert.Equal(state.Messages.Sum(m => m.Size), state.Counts.Octets);
            Assert.Equal(state.Count, state.Counts.Total);
            Assert.Equal(state.Messages.Count(m => m.Recipients.Any(r => r.OpenAttempt > 0)), state.Counts.Attempting);
            Assert.Equal(
                state.Messages.Count(m => !m.IsHeld && m.Recipients.All(r => r.OpenAttempt == 0) && m.Recipients.Any(r => r.Attempts > 0)),
                state.Counts.Deferred);
            Assert.Equal(state.Messages.Count(m => m.IsHeld && m.Recipients.All(r => r.OpenAttempt == 0)), state.Counts.Held);
            Assert.True(state.Removals.Count() <= Small.MaxRemovals && state.Suspensions.Count() <= Small.MaxSuspensions);
            Assert.True(state.SuspectCount <= Small.MaxSuspects && state.TombstoneCount <= Small.MaxTombstones);
            Assert.All(state.Messages, m => Assert.Contains(m.Recipients, r => !r.IsFinal));
            Assert.All(state.Messages.SelectMany(m => m.Recipients), r =>
                Assert.Equal(r.State is RecipientState.Attempting or RecipientState.OwnerLost, r.OpenAttempt > 0));
            owners.Check(command, status, messagesBefore, state, changes);

            // A body goes only with its message or with an id that was given up, and that id never comes back.
            changes.ReleasedBodies.ForEach(id => released.Add(id));
            Assert.All(state.Messages, m => Assert.DoesNotContain(m.Id, released));
            Assert.All(messagesBefore.Keys.Where(id => !state.TryGet(id, out _)), id => Assert.Contains(id, changes.ReleasedBodies));

            if (status != ApplyStatus.Accepted)
            {
                Assert.Empty(changes.Messages);
                Assert.Equal(messagesBefore.Count, state.Count);
            }
            else
            {
                AssertRules(command, messagesBefore, state);
                AssertAdministered(command, messagesBefore, state, changes, stamp);
            }

            if (changes.IsEmpty)
            {
                Assert.Equal(before, QueueStore.Dump(state));
            }
        }
    }

    [Fact]
    public void What_is_persisted_restores_to_the_live_state() =>
        Gen.Select(Gen.OneOf(QueueCommands.Sequence, QueueCommands.ClusterSequence), Gen.Int[0, 60]).Sample((steps, cut) =>
        {
            var live = new QueueState(Small);
            var store = new QueueStore();
            var changes = new QueueChanges();
            var stamp = 0L;
            foreach (var (command, wait) in steps.Take(cut))
            {
                changes.Clear();
                live.Apply(QueueCommands.AtEpochOf(live, command), stamp += wait, changes);
                store.Write(changes, live);
            }

            var restored = store.Read(Small);
            Assert.Equal(QueueStore.Dump(live), QueueStore.Dump(restored));
            foreach (var (proposed, wait) in steps.Skip(cut))
            {
                var command = QueueCommands.AtEpochOf(live, proposed);
                var restoredChanges = new QueueChanges();
                changes.Clear();
                stamp += wait;
                Assert.Equal(live.Apply(command, stamp, changes), restored.Apply(command, stamp, restoredChanges));
                Assert.Equal(changes.ReleasedBodies, restoredChanges.ReleasedBodies);
                Assert.Equal(changes.SuspectsListed, restoredChanges.SuspectsListed);
                Assert.Equal(QueueStore.Dump(live), QueueStore.Dump(restored));
            }
        }, iter: 1000);

    [Fact]
    public void The_same_commands_give_the_same_state_and_answers() => QueueCommands.Sequence.Sample(steps =>
    {
        var (first, second) = (new QueueState(Small), new QueueState(Small));
        var stamp = 0L;
        foreach (var (command, wait) in steps)
        {
            stamp += wait;
            Assert.Equal(first.Apply(command, stamp, new QueueChanges()), second.Apply(command, stamp, new QueueChanges()));
        }

        Assert.Equal(QueueStore.Dump(first), QueueStore.Dump(second));
    }, iter: 200);

    private static void AssertAdministered(
        QueueCommand command, Dictionary<QueueId, QueuedMessage> before, QueueState after, QueueChanges changes, long stamp)
    {
        switch (command)
        {
            case AttemptStartedCommand c:
                Assert.False(before[c.Id].IsHeld);
                Assert.All(c.Recipients, i => Assert.DoesNotContain(after.Suspensions, s => s.IsInForce(stamp)
                    && (s.Scope == SuspensionScope.Sender ? s.Name == before[c.Id].ReversePath : s.Name == "y")));
                break;
            case AdministerCommand c:
                // The oldest that match and need it, and the answer says how many and whether there are more.
                var needy = before.Values.Where(m => c.Selection.Matches(m, stamp) && c.Action switch
                {
                    QueueAction.Hold => !m.IsHeld,
                    QueueAction.Release => m.IsHeld,
                    QueueAction.Requeue => m.Recipients.Any(r => r.State == RecipientState.Queued && r.NextAttemptAt > stamp),
                    _ => true,
                }).OrderBy(m => m.Id).ToList();
                Assert.Equal((Math.Min(needy.Count, c.Limit), needy.Count > c.Limit), (changes.Matched, changes.HasMore));
                foreach (var message in needy.Take(c.Limit))
                {
                    Assert.Equal(c.Action != QueueAction.Delete, after.TryGet(message.Id, out var now));
                    Assert.True(now is null || now.IsHeld == (c.Action == QueueAction.Hold || (message.IsHeld && c.Action == QueueAction.Requeue)));
                    Assert.True(now is not null || changes.Removals.Any(r => r.Id == message.Id));
                    Assert.True(c.Action != QueueAction.Requeue
                        || now!.Recipients.All(r => r.State != RecipientState.Queued || r.NextAttemptAt <= stamp));
                }

                Assert.Equal(changes.Matched, changes.Messages.Count);
                break;
        }
    }

    private static void AssertRules(QueueCommand command, Dictionary<QueueId, QueuedMessage> before, QueueState after)
    {
        switch (command)
        {
            case AttemptStartedCommand c:
                Assert.Equal(c.Epoch, before[c.Id].Epoch);
                Assert.All(c.Recipients, i => Assert.True(before[c.Id].Recipients[i].IsWaiting));
                Assert.All(c.Recipients, i => Assert.True(before[c.Id].Recipients[i].Attempts < c.Attempt));
                break;
            case AttemptEndedCommand c:
                foreach (var result in c.Results)
                {
                    var recipient = before[c.Id].Recipients[result.Recipient];
                    Assert.True(recipient.HasOpen(c.Attempt, c.Epoch)
                        || (recipient.IsWaiting && before[c.Id].Epoch == c.Epoch && recipient.Attempts < c.Attempt));
                    Assert.True(result.Outcome != RecipientOutcome.InDoubt
                        || after.Suspects.Any(s => s.Suspect.Id == c.Id && s.Suspect.Reason == SuspectReason.NoReplyAfterDot));
                }

                Assert.All(c.Notices, n => Assert.True(after.TryGet(n.Id, out _)));
                break;
            case OwnerRestartedCommand c:
                Assert.All(after.Messages.Where(m => m.Owner == c.Owner), m =>
                    Assert.All(m.Recipients, r => Assert.NotEqual(RecipientState.Attempting, r.State)));
                break;
        }
    }
}
