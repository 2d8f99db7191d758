using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <content>Copies of the bodies.</content>
public sealed partial class QueueState
{
    private CopyCounts _copies;

    /// <summary>How many messages want copies or an owner.</summary>
    public CopyCounts Copies => _copies;

    /// <summary>
    /// Messages with too few copies (<see cref="QueueMembers.HasTooFewCopies"/>), oldest first. A copy on the
    /// disk of a member that is down counts, unless another of its disks is to be vacated. Looks at all messages unless there is none such.
    /// </summary>
    /// <param name="after">Only ids after this one; null: from the first.</param>
    /// <param name="limit">At most this many.</param>
    public IReadOnlyList<QueuedMessage> MessagesWantingCopies(QueueId? after, int limit)
    {
        if (_copies.TooFew == 0 || _members is not { } members || limit <= 0)
        {
            return [];
        }

        var oldest = new OldestMessages(limit);
        foreach (var message in _messages.Values)
        {
            if (!(message.Id <= after) && ViewOf(message.Holders, members).IsTooFew)
            {
                oldest.Add(message);
            }
        }

        return oldest.ToList();
    }

    private ApplyStatus ApplyHoldersChanged(HoldersChangedCommand command, QueueChanges changes)
    {
        if (command.Ids is not { Count: > 0 } || command.Ids.Count > _limits.MaxBatch || !IsName(command.Holder.Node))
        {
            return ApplyStatus.Invalid;
        }

        if (command.Added && _members?.IsCurrent(command.Holder) == false)
        {
            return ApplyStatus.Conflict;
        }

        foreach (var id in command.Ids)
        {
            if (_messages.TryGetValue(id, out var message) && message.Holders.Contains(command.Holder) != command.Added)
            {
                // Copies on disks that are gone are forgotten on the occasion.
                var holders = message.Holders.Where(h =>
                    _members?.IsCurrent(h) != false && !string.Equals(h.Node, command.Holder.Node, StringComparison.Ordinal));
                ReplaceAndPlace(
                    message with { Holders = _sharedHolders.Share([.. command.Added ? holders.Append(command.Holder) : holders]) }, changes);
            }
        }

        return ApplyStatus.Accepted;
    }

    private void CountCopies(QueuedMessage message, int sign)
    {
        if (_members is { } members)
        {
            CountCopies(message, ViewOf(message.Holders, members), sign);
        }
    }

    private void CountAllCopies(QueueMembers members)
    {
        _copies = default;
        foreach (var message in _messages.Values)
        {
            CountCopies(message, ViewOf(message.Holders, members), +1);
        }
    }

    private void CountCopies(QueuedMessage message, HolderView view, int sign) => _copies = new CopyCounts(
        _copies.TooFew + (view.IsTooFew ? sign : 0),
        _copies.None + (view.Copies == 0 ? sign : 0),
        _copies.WithoutOwner + (view.IndexOf(message.Owner) < 0 ? sign : 0));
}
