using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Quorumail.Core.Cluster.State;

/// <summary>
/// Keys and values as the log makes them: the same commands with the same stamps give the same state and the same answers
/// on every node. <see cref="Apply"/> never throws for what a command holds. What is deleted never comes back, because
/// nothing but a later command of the log can set it. Not thread-safe: one caller at a time, readers under the caller's lock;
/// the entries handed out are immutable.
/// </summary>
public sealed class SharedState
{
    private static readonly Comparer<StateEntry> ByExpiry = Comparer<StateEntry>.Create((left, right) =>
        left.ExpiresAt != right.ExpiresAt ? left.ExpiresAt.CompareTo(right.ExpiresAt) : left.Version.CompareTo(right.Version));

    private readonly StateLimits _limits;
    private readonly Dictionary<string, StateEntry> _entries = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _keys = new(StringComparer.Ordinal);
    private readonly SortedSet<StateEntry> _expiring = new(ByExpiry);
    private readonly StateHistory _history;

    /// <summary>An empty store.</summary>
    /// <param name="limits">The same on all members; null for the defaults.</param>
    public SharedState(StateLimits? limits = null)
    {
        _limits = limits ?? new StateLimits();
        _history = new StateHistory(_limits);
    }

    /// <summary>The limits in force.</summary>
    public StateLimits Limits => _limits;

    /// <summary>Number of the last change; 0 before the first.</summary>
    public long Version { get; private set; }

    /// <summary>Cluster time of the last deletion or expiry, in milliseconds; 0 before the first.</summary>
    public long LastRemovalAt { get; private set; }

    /// <summary>Keys, expired ones that have not been removed yet included.</summary>
    public int Count => _entries.Count;

    /// <summary>Bytes as <see cref="StateLimits.TotalMax"/> counts them.</summary>
    public long Bytes { get; private set; }

    /// <summary>All entries, in no particular order, expired ones that have not been removed yet included.</summary>
    public IReadOnlyCollection<StateEntry> Entries => _entries.Values;

    /// <summary>Makes a state of what was persisted; it goes on exactly as the one that persisted it, without its history of changes.</summary>
    public static SharedState Restore(long version, long lastRemovalAt, IEnumerable<StateEntry> entries, StateLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(entries);
        SharedState state = new(limits) { Version = version, LastRemovalAt = lastRemovalAt };
        foreach (StateEntry entry in entries)
        {
            state.Put(entry);
        }

        state._history.Restart(version);
        return state;
    }

    /// <summary>The key, if it is there at this cluster time (milliseconds).</summary>
    public bool TryGet(string key, long now, [NotNullWhen(true)] out StateEntry? entry)
    {
        if (_entries.TryGetValue(key, out entry) && !entry.IsExpired(now))
        {
            return true;
        }

        entry = null;
        return false;
    }

    /// <summary>Lists keys in ordinal order.</summary>
    /// <param name="prefix">That the keys begin with; may be empty.</param>
    /// <param name="after">Only keys after this one; null: from the first.</param>
    /// <param name="limit">At most this many, and at most <see cref="StateLimits.PageMax"/>.</param>
    /// <param name="now">Cluster time, in milliseconds.</param>
    public StatePage List(string prefix, string? after, int limit, long now)
    {
        ArgumentNullException.ThrowIfNull(prefix);
        limit = Math.Clamp(limit, 1, _limits.PageMax);
        List<StateEntry> page = [];
        string from = after is not null && string.CompareOrdinal(after, prefix) > 0 ? after : prefix;
        if (_keys.Max is not { } last || string.CompareOrdinal(from, last) > 0)
        {
            return new StatePage(page, null, Version);
        }

        foreach (string key in _keys.GetViewBetween(from, last))
        {
            if (!key.StartsWith(prefix, StringComparison.Ordinal))
            {
                break;
            }

            StateEntry entry = _entries[key];
            if (string.Equals(key, after, StringComparison.Ordinal) || entry.IsExpired(now))
            {
                continue;
            }

            if (page.Count == limit)
            {
                return new StatePage(page, page[^1].Key, Version);
            }

            page.Add(entry);
        }

        return new StatePage(page, null, Version);
    }

    /// <summary>Reads the changes from a version on, of keys with a prefix, at most <paramref name="limit"/>.</summary>
    public StateChanges Changes(string prefix, long fromVersion, int limit) => _history.Read(prefix, fromVersion, limit);

    /// <summary>Whether a key has expired by this cluster time and not been removed yet: a command of any kind would do it.</summary>
    public bool HasExpired(long now) => _expiring.Min is { } first && first.IsExpired(now);

    /// <summary>Removes expired keys, a bounded number: to be called before the commands of each entry of the log.</summary>
    public void RemoveExpired(long stamp) => RemoveExpired(stamp, _limits.ExpiredPerEntry);

    /// <summary>Applies a command; null is one that could not be read.</summary>
    /// <param name="command">The command; its memory is copied.</param>
    /// <param name="stamp">Cluster time of its entry, in milliseconds; never falls.</param>
    public StateAnswer Apply(StateCommand? command, long stamp)
    {
        if (command is null)
        {
            return new StateAnswer(StateStatus.Invalid);
        }

        if (command.Action == StateAction.Sweep)
        {
            return new StateAnswer(StateStatus.Done, Version);
        }

        if (StateKey.Fault(command.Key, _limits) is not null)
        {
            return new StateAnswer(StateStatus.InvalidKey);
        }

        TryGet(command.Key, stamp, out StateEntry? present);
        if (!Holds(command, present))
        {
            return new StateAnswer(StateStatus.ConditionFailed, present?.Version ?? 0);
        }

        if (command.Action == StateAction.Delete)
        {
            return present is null ? new StateAnswer(StateStatus.NotFound) : Remove(present, StateChangeKind.Deleted, stamp);
        }

        return Set(command, stamp);
    }

    private bool Holds(StateCommand command, StateEntry? present) => command.Condition switch
    {
        StateCondition.Version => command.Expected == (present?.Version ?? 0),
        StateCondition.Value => present is not null && present.Value.Span.SequenceEqual(command.ExpectedValue.Span),
        StateCondition.NotOlder => command.Expected >= (present?.ModifiedAt ?? LastRemovalAt) / 1000,
        _ => true,
    };

    private StateAnswer Set(StateCommand command, long stamp)
    {
        if (command.Value.Length > _limits.ValueMax)
        {
            return new StateAnswer(StateStatus.ValueTooLarge);
        }

        if (command.TimeToLive < 0 || command.TimeToLive > _limits.TimeToLiveMax)
        {
            return new StateAnswer(StateStatus.Invalid);
        }

        // An expired entry of the same key is in the way, and counted: it goes first, as its own change.
        if (_entries.TryGetValue(command.Key, out StateEntry? old) && old.IsExpired(stamp))
        {
            Remove(old, StateChangeKind.Expired, stamp);
            old = null;
        }

        long more = CostOf(command.Key, command.Value.Length) - (old is null ? 0 : CostOf(old.Key, old.Value.Length));
        if (more > 0 && Bytes + more > _limits.TotalMax)
        {
            RemoveExpired(stamp, _limits.ExpiredPerEntry);
            if (Bytes + more > _limits.TotalMax)
            {
                return new StateAnswer(StateStatus.Full);
            }
        }

        Version++;
        StateEntry entry = new(
            old?.Key ?? command.Key, command.Value.ToArray(), Version, stamp, command.TimeToLive == 0 ? 0 : stamp + command.TimeToLive);
        Put(entry);
        _history.Add(new StateChange(StateChangeKind.Set, entry.Key, entry.Value, Version));
        return new StateAnswer(StateStatus.Done, Version);
    }

    private void Put(StateEntry entry)
    {
        if (_entries.TryGetValue(entry.Key, out StateEntry? old))
        {
            Bytes -= CostOf(old.Key, old.Value.Length);
            if (old.ExpiresAt != 0)
            {
                _expiring.Remove(old);
            }
        }
        else
        {
            _keys.Add(entry.Key);
        }

        _entries[entry.Key] = entry;
        Bytes += CostOf(entry.Key, entry.Value.Length);
        if (entry.ExpiresAt != 0)
        {
            _expiring.Add(entry);
        }
    }

    private StateAnswer Remove(StateEntry entry, StateChangeKind kind, long stamp)
    {
        _entries.Remove(entry.Key);
        _keys.Remove(entry.Key);
        if (entry.ExpiresAt != 0)
        {
            _expiring.Remove(entry);
        }

        Bytes -= CostOf(entry.Key, entry.Value.Length);
        LastRemovalAt = Math.Max(LastRemovalAt, stamp);
        Version++;
        _history.Add(new StateChange(kind, entry.Key, default, Version));
        return new StateAnswer(StateStatus.Done, Version);
    }

    private void RemoveExpired(long stamp, int limit)
    {
        for (int removed = 0; removed < limit && _expiring.Min is { } first && first.IsExpired(stamp); removed++)
        {
            Remove(first, StateChangeKind.Expired, stamp);
        }
    }

    private static long CostOf(string key, int valueLength) =>
        Encoding.UTF8.GetByteCount(key) + valueLength + StateLimits.EntryOverhead;
}
