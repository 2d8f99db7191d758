using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <content>Copies of the bodies.</content>
public sealed partial class QueueState
{
    // Those with too few copies: few, but for after the loss of a disk.
    private readonly SortedSet<QueueId> _wanting = [];
    private CopyCounts _copies;

    /// <summary>How many messages want copies or an owner.</summary>
    public CopyCounts Copies => _copies;

    /// <summary>
    /// Messages with too few copies (<see cref="QueueMembers.HasTooFewCopies"/>), oldest first. A copy on the
    /// disk of a member that is down counts, unless another of its disks is to be vacated. Looks at no others.
    /// </summary>
    /// <param name="after">Only ids after this one; null: from the first.</param>
    /// <param name="limit">At most this many.</param>
    public IReadOnlyList<QueuedMessage> MessagesWantingCopies(QueueId? after, int limit)
    {
        if (limit <= 0 || _wanting.Count == 0 || after >= _wanting.Max)
        {
            return [];
        }

        var page = new List<QueuedMessage>(Math.Min(limit, _wanting.Count));
        foreach (var id in after is { } last ? _wanting.GetViewBetween(last, _wanting.Max) : _wanting)
        {
            if (id != after)
            {
                page.Add(_messages[id]);
            }

            if (page.Count == limit)
            {
                break;
            }
        }

        return page;
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
        ForgetCopies();
        foreach (var message in _messages.Values)
        {
            CountCopies(message, ViewOf(message.Holders, members), +1);
        }
    }

    private void ForgetCopies()
    {
        _copies = default;
        _wanting.Clear();
    }

    private void CountCopies(QueuedMessage message, HolderView view, int sign)
    {
        _ = sign > 0 && view.IsTooFew ? _wanting.Add(message.Id) : _wanting.Remove(message.Id);
        _copies = new CopyCounts(
            _copies.TooFew + (view.IsTooFew ? sign : 0),
            _copies.None + (view.Copies == 0 ? sign : 0),
            _copies.WithoutOwner + (view.IndexOf(message.Owner) < 0 ? sign : 0));
    }
}
