using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>Of many messages in no particular order, the oldest few: the same whatever the order.</summary>
internal sealed class OldestMessages(int limit)
{
    // The youngest of them on top.
    private readonly PriorityQueue<QueuedMessage, QueueId> _found =
        new(Comparer<QueueId>.Create(static (left, right) => right.CompareTo(left)));

    /// <summary>Whether more were added than there was room for.</summary>
    public bool HasMore { get; private set; }

    public void Add(QueuedMessage message)
    {
        if (_found.Count < limit)
        {
            _found.Enqueue(message, message.Id);
        }
        else
        {
            HasMore = true;
            _found.EnqueueDequeue(message, message.Id);
        }
    }

    /// <summary>Oldest first; empties the list.</summary>
    public List<QueuedMessage> ToList()
    {
        var list = new List<QueuedMessage>(_found.Count);
        while (_found.TryDequeue(out var message, out _))
        {
            list.Add(message);
        }

        list.Reverse();
        return list;
    }
}
