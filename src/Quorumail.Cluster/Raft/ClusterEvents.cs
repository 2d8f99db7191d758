namespace Quorumail.Cluster.Raft;

/// <summary>The latest events, oldest first; older ones are dropped.</summary>
public sealed class ClusterEvents(int limit, TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly Queue<ClusterEvent> _events = new();

    /// <summary>Told of each event, on the thread that notes it; must not block.</summary>
    public event Action<ClusterEvent>? Noted;

    /// <summary>A copy of what is kept.</summary>
    public IReadOnlyList<ClusterEvent> All
    {
        get
        {
            lock (_lock)
            {
                return [.. _events];
            }
        }
    }

    /// <summary>Keeps an event.</summary>
    internal void Note(ClusterEventKind kind, long term, string text)
    {
        ClusterEvent noted = new(time.GetUtcNow(), kind, term, text);
        lock (_lock)
        {
            _events.Enqueue(noted);
            while (_events.Count > limit)
            {
                _events.Dequeue();
            }
        }

        Noted?.Invoke(noted);
    }
}
