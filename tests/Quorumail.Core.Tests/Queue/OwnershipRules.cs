using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Queue;

/// <summary>What must hold of owners, epochs, copies and lost attempts after every command of a run.</summary>
internal sealed class OwnershipRules
{
    private readonly Dictionary<(QueueId, long Epoch), string> _ownerAt = [];
    private readonly HashSet<(QueueId, string Recipient, int Attempt)> _over = [];

    public void Check(
        QueueCommand command, ApplyStatus status, Dictionary<QueueId, QueuedMessage> before, QueueState state, QueueChanges changes)
    {
        foreach (var message in state.Messages)
        {
            // An epoch of a message belongs to one owner, so that no other can act on it.
            Assert.Equal(message.Owner, _ownerAt.GetValueOrDefault((message.Id, message.Epoch), message.Owner));
            _ownerAt[(message.Id, message.Epoch)] = message.Owner;
            Assert.True(message.Epoch >= state.EpochOf(message.Owner));
            if (before.TryGetValue(message.Id, out var earlier))
            {
                Assert.True(message.Epoch > earlier.Epoch || message.Owner == earlier.Owner);
                Assert.True(message.Epoch >= earlier.Epoch);
            }

            // No message has an owner that it should not have.
            Assert.Null(state.Members?.Place(message));
        }

        foreach (var owner in state.Messages.Select(m => m.Owner).Append("a").Append("b").Append("c").Distinct())
        {
            Assert.Equal(state.Messages.Count(m => m.Owner == owner), state.CountOwnedBy(owner));
            Assert.Equal(state.CountOwnedBy(owner), state.MessagesOwnedBy(owner).Count());
        }

        CheckCopies(state);
        CheckAttempts(command, status, before, changes);
    }

    private static void CheckCopies(QueueState state)
    {
        if (state.Members is not { } members)
        {
            Assert.Equal(default, state.Copies);
            Assert.All(state.Messages, m => Assert.Equal(0, m.Placed));
            return;
        }

        var counts = new CopyCounts(
            state.Messages.Count(m => HasTooFew(m, members)),
            state.Messages.Count(m => !m.Holders.Any(members.IsCurrent)),
            state.Messages.Count(m => !m.Holders.Any(h => h.Node == m.Owner && members.IsCurrent(h) && !members.Find(h.Node)!.IsDown)));
        Assert.Equal(counts, state.Copies);
        Assert.Equal(
            state.Messages.Where(m => HasTooFew(m, members)).Select(m => m.Id).Order(),
            Pages(state).Select(m => m.Id));
    }

    private static bool HasTooFew(QueuedMessage message, QueueMembers members)
    {
        var isVacated = members.Nodes.Any(n => n.IsVacating && IsHolder(n));
        return IsTooFewOf([.. members.Nodes.Where(n => !n.IsVacating)])
            || (isVacated && IsTooFewOf([.. members.Nodes.Where(n => n is { IsVacating: false, IsDown: false })]));

        bool IsHolder(QueueNode node) => message.Holders.Contains(new BodyHolder(node.Name, node.Incarnation));

        bool IsTooFewOf(List<QueueNode> places) => places.Count(IsHolder) < Math.Min(members.MinCopies, places.Count);
    }

    private static List<QueuedMessage> Pages(QueueState state)
    {
        var all = new List<QueuedMessage>();
        while (state.MessagesWantingCopies(all.Count == 0 ? null : all[^1].Id, 2) is { Count: > 0 } page)
        {
            all.AddRange(page);
        }

        return all;
    }

    /// <summary>An accepted attempt ends once: by its result, or on the list.</summary>
    private void CheckAttempts(
        QueueCommand command, ApplyStatus status, Dictionary<QueueId, QueuedMessage> before, QueueChanges changes)
    {
        if (command is AttemptEndedCommand ended && status == ApplyStatus.Accepted)
        {
            foreach (var result in ended.Results)
            {
                var recipient = before[ended.Id].Recipients[result.Recipient];
                Assert.True(
                    !recipient.HasOpen(ended.Attempt, ended.Epoch) || _over.Add((ended.Id, recipient.Envelope.Address, ended.Attempt)));
            }
        }

        foreach (var (_, suspect) in changes.SuspectsListed.Where(s => s.Suspect.Reason == SuspectReason.OwnerLost))
        {
            Assert.True(_over.Add((suspect.Id, suspect.Recipient, suspect.Attempt)));
            Assert.Contains(before[suspect.Id].Recipients, r =>
                r.Envelope.Address == suspect.Recipient && r.OpenAttempt == suspect.Attempt
                && (r.State == RecipientState.Attempting || r.NextAttemptAt <= suspect.ListedAt));
        }
    }
}
