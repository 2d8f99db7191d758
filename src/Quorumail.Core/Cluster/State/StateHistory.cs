namespace Quorumail.Core.Cluster.State;

/// <summary>The latest changes, for watchers: a ring that is bounded by count and bytes. Not thread-safe.</summary>
internal sealed class StateHistory(StateLimits limits)
{
    private StateChange[] _ring = new StateChange[16];
    private int _head;
    private int _count;
    private long _bytes;

    /// <summary>Version of the oldest change kept, or of the next one if none is.</summary>
    public long FirstVersion { get; private set; } = 1;

    /// <summary>Forgets everything; the next change will have the version after <paramref name="version"/>.</summary>
    public void Restart(long version)
    {
        Array.Clear(_ring);
        _head = 0;
        _count = 0;
        _bytes = 0;
        FirstVersion = version + 1;
    }

    public void Add(in StateChange change)
    {
        if (_count == _ring.Length)
        {
            Grow();
        }

        _ring[(_head + _count) % _ring.Length] = change;
        _count++;
        _bytes += CostOf(change);
        while (_count > limits.HistoryMax || (_bytes > limits.HistoryBytesMax && _count > 0))
        {
            _bytes -= CostOf(_ring[_head]);
            _ring[_head] = default;
            _head = (_head + 1) % _ring.Length;
            _count--;
            FirstVersion++;
        }
    }

    /// <summary>Reads up to <paramref name="limit"/> changes of keys with a prefix.</summary>
    public StateChanges Read(string prefix, long fromVersion, int limit)
    {
        long end = FirstVersion + _count;
        if (fromVersion < FirstVersion || fromVersion > end)
        {
            return new StateChanges([], end, IsLagging: true);
        }

        List<StateChange>? found = null;
        long version = fromVersion;
        for (; version < end && (found?.Count ?? 0) < limit; version++)
        {
            ref readonly StateChange change = ref _ring[(int)((_head + (version - FirstVersion)) % _ring.Length)];
            if (change.Key.StartsWith(prefix, StringComparison.Ordinal))
            {
                (found ??= []).Add(change);
            }
        }

        return new StateChanges(found is null ? [] : found, version, IsLagging: false);
    }

    private static long CostOf(in StateChange change) => (2L * change.Key.Length) + change.Value.Length;

    private void Grow()
    {
        StateChange[] larger = new StateChange[2 * _ring.Length];
        for (int i = 0; i < _count; i++)
        {
            larger[i] = _ring[(_head + i) % _ring.Length];
        }

        _ring = larger;
        _head = 0;
    }
}
