namespace Quorumail.Core.Limits;

/// <summary>
/// The cluster's limits as the log makes them. What is granted, and not given back, never exceeds a limit's capacity less the
/// reserved shares; what nodes use is never more than granted or reserved. The same commands with the same stamps give the
/// same state and answers on every node. <see cref="Apply"/> never throws for what a command holds. Not thread-safe.
/// </summary>
public sealed partial class LimitState
{
    private readonly LimitBounds _bounds;
    private readonly SortedDictionary<string, LimitDefinition> _definitions = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, LimitMember> _members = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Limit, string Key), List<LimitGrant>> _grants = [];
    private readonly PriorityQueue<(string Limit, string Key), long> _ends = new();
    private readonly Dictionary<string, int> _heldKeys = new(StringComparer.Ordinal);
    private long _nextSlot = 1;
    private int _keyCount;
    private LimitChanges? _changes;

    /// <summary>No limits.</summary>
    /// <param name="bounds">The same on all members; null for the defaults.</param>
    public LimitState(LimitBounds? bounds = null) => _bounds = bounds ?? new LimitBounds();

    /// <summary>The limits, by name.</summary>
    public IReadOnlyCollection<LimitDefinition> Definitions => _definitions.Values;

    /// <summary>The nodes that have, or had, a share, by name.</summary>
    public IReadOnlyCollection<LimitMember> Members => _members.Values;

    /// <summary>Keys for which something is granted.</summary>
    public int KeyCount => _keyCount;

    /// <summary>Keys of one limit for which something is granted.</summary>
    public int KeyCountOf(string limit) => _heldKeys.GetValueOrDefault(limit);

    /// <summary>What is granted for a key, ended or not.</summary>
    public IReadOnlyList<LimitGrant> GrantsOf(string limit, string key) => _grants.TryGetValue((limit, key), out var grants) ? [.. grants] : [];

    /// <summary>All but the grants.</summary>
    public LimitRecords Head => new(_nextSlot, [.. _definitions.Values], [.. _members.Values], []) { Shares = Shares };

    /// <summary>All there is, in one order on all nodes.</summary>
    public LimitRecords Records => new(
        _nextSlot, [.. _definitions.Values], [.. _members.Values],
        [
            .. _grants.Values.SelectMany(g => g).OrderBy(g => g.Limit, StringComparer.Ordinal).ThenBy(g => g.Key, StringComparer.Ordinal)
                .ThenBy(g => g.Slot).ThenBy(g => g.Node, StringComparer.Ordinal),
        ])
    {
        Shares = Shares,
    };

    /// <summary>Makes a state of what was persisted.</summary>
    public static LimitState Restore(LimitRecords records, LimitBounds? bounds = null)
    {
        var state = new LimitState(bounds) { _nextSlot = records.NextSlot };
        foreach (var definition in records.Definitions)
        {
            state._definitions[definition.Name] = definition;
        }

        foreach (var member in records.Members)
        {
            state._members[member.Node] = member;
        }

        foreach (var share in records.Shares)
        {
            state._shares[(share.Limit, share.Node)] = share;
        }

        foreach (var grant in records.Grants)
        {
            state.Add(grant);
        }

        state._ends.Clear();
        state._ends.EnqueueRange(state._grants.Select(g => (g.Key, g.Value.Min(grant => grant.Until))));
        return state;
    }

    /// <summary>What may be granted for any key now: the capacity less what is reserved.</summary>
    public int PoolOf(LimitDefinition limit, long stamp)
    {
        var pool = (long)limit.Capacity;
        foreach (var member in _members.Values)
        {
            pool -= ReserveOf(limit, member, stamp);
        }

        return (int)Math.Max(0, pool);
    }

    /// <summary>What is granted for a key now.</summary>
    public int GrantedOf(string limit, string key, long stamp) => _grants.TryGetValue((limit, key), out var grants)
        ? grants.Where(g => g.Until > stamp).Sum(g => g.Count)
        : 0;

    /// <summary>The keys for which something is granted at a time, and how much, in no order.</summary>
    public IEnumerable<(string Limit, string Key, int Granted)> GrantedAt(long stamp)
    {
        foreach (var ((limit, key), grants) in _grants)
        {
            var granted = 0;
            foreach (var grant in grants)
            {
                granted += grant.Until > stamp ? grant.Count : 0;
            }

            if (granted > 0)
            {
                yield return (limit, key, granted);
            }
        }
    }

    /// <summary>Applies one command.</summary>
    /// <param name="command">Nothing of it is changed.</param>
    /// <param name="stamp">Cluster time in milliseconds; never falls from one call to the next.</param>
    /// <param name="changes">Receives what is to be persisted; not cleared here. Null: nothing is.</param>
    public LimitAnswer Apply(LimitCommand command, long stamp, LimitChanges? changes = null)
    {
        _changes = changes;
        Clear(stamp);
        return command switch
        {
            DefineLimitCommand c => Define(c.Definition, c.KeepsShares, stamp),
            RemoveLimitCommand c => Remove(c.Limit),
            LimitNodesCommand c => ChangeNodes(c.Nodes, stamp),
            AdoptShareCommand c => Adopt(c, stamp),
            WantTokensCommand c => Grant(c, stamp),
            ReturnTokensCommand c => Return(c, stamp),
            WantSlotCommand c => GrantSlot(c, stamp),
            KeepSlotCommand c => Keep(c, stamp),
            FreeSlotCommand c => Free(c, stamp),
            _ => new LimitAnswer(LimitStatus.Invalid),
        };
    }

    private LimitAnswer Define(LimitDefinition? definition, bool keepsShares, long stamp)
    {
        if (definition is null || !IsText(definition.Name) || definition.Kind is not (LimitKind.Rate or LimitKind.Concurrency)
            || definition.Policy is not (LimitPolicy.Closed or LimitPolicy.Share)
            || definition.Capacity < 1 || definition.Capacity > _bounds.MaxCapacity
            || definition.Period < 1 || definition.Period > _bounds.MaxPeriod)
        {
            return new LimitAnswer(LimitStatus.Invalid);
        }

        if (!_definitions.TryGetValue(definition.Name, out var before))
        {
            if (_definitions.Count >= _bounds.MaxLimits)
            {
                return new LimitAnswer(LimitStatus.Unknown);
            }
        }

        // What was granted before a limit was removed counts on when it is there again.
        if ((before?.Kind, before?.Period) != (definition.Kind, definition.Period)
            && _grants.Any(g => g.Key.Limit == definition.Name && g.Value.Exists(grant => grant.Until > stamp && (before is not null || IsOther(grant, definition.Kind)))))
        {
            return new LimitAnswer(LimitStatus.Busy);
        }

        ForgetShares(stamp);
        if (before is not null && keepsShares)
        {
            KeepShares(before, definition, stamp);
        }

        _definitions[definition.Name] = definition;
        HeadChanged();
        return new LimitAnswer(LimitStatus.Granted);
    }

    private LimitAnswer Remove(string? limit)
    {
        if (limit is null || !_definitions.Remove(limit))
        {
            return new LimitAnswer(LimitStatus.Unknown);
        }

        HeadChanged();
        return new LimitAnswer(LimitStatus.Granted);
    }

    private static bool IsOther(LimitGrant grant, LimitKind kind) => (grant.Slot == 0) != (kind == LimitKind.Rate);

    private void HeadChanged()
    {
        if (_changes is not null)
        {
            _changes.Head = true;
        }
    }

    private LimitAnswer ChangeNodes(IReadOnlyList<string>? nodes, long stamp)
    {
        if (nodes is not { Count: > 0 } || nodes.Count > _bounds.MaxNodes || !nodes.All(IsText)
            || nodes.Distinct(StringComparer.Ordinal).Count() < nodes.Count)
        {
            return new LimitAnswer(LimitStatus.Invalid);
        }

        HeadChanged();
        foreach (var member in _members.Values.ToArray())
        {
            if (!nodes.Contains(member.Node, StringComparer.Ordinal))
            {
                Leave(member, stamp);
            }
        }

        foreach (var node in nodes)
        {
            if (!_members.TryGetValue(node, out var member))
            {
                _members[node] = new LimitMember(node, nodes.Count, nodes.Count, stamp);
            }
            else if (member.Members == 0)
            {
                _members[node] = member with { Members = nodes.Count };
            }
        }

        return new LimitAnswer(LimitStatus.Granted);
    }

    private void Leave(LimitMember member, long stamp)
    {
        if (member.Members > 0)
        {
            _members[member.Node] = member with { Members = 0, MembersBefore = member.Members, ChangedAt = stamp };
            LeaveShares(member.Node, stamp);
        }
        else if (stamp - member.ChangedAt > _bounds.MaxPeriod)
        {
            _members.Remove(member.Node);
        }
    }

    private LimitAnswer Adopt(AdoptShareCommand command, long stamp)
    {
        if (command.Members < 1 || command.Members > _bounds.MaxNodes)
        {
            return new LimitAnswer(LimitStatus.Invalid);
        }

        if (command.Node is null || !_members.TryGetValue(command.Node, out var member) || member.Members == 0
            || command.Members != _members.Values.Count(m => m.Members > 0))
        {
            return new LimitAnswer(LimitStatus.Unknown);
        }

        if (member.Members != command.Members)
        {
            // Adopted twice in one window, the largest share of the three counts.
            var before = member.MembersBefore > 0 && member.ChangedAt > 0 ? Math.Min(member.Members, member.MembersBefore) : member.Members;
            _members[member.Node] = member with { Members = command.Members, MembersBefore = before, ChangedAt = stamp };
            HeadChanged();
        }

        if (command.Shares > 0)
        {
            EndShares(member.Node, command.Shares, stamp);
            ForgetShares(stamp);
            HeadChanged();
        }

        return new LimitAnswer(LimitStatus.Granted);
    }

    private LimitAnswer Grant(WantTokensCommand command, long stamp)
    {
        if (command.Count < 1 || !IsText(command.Key) || !IsText(command.Node))
        {
            return new LimitAnswer(LimitStatus.Invalid);
        }

        if (Find(command.Limit, LimitKind.Rate) is not { } limit || !MayHold(limit, command.Key))
        {
            return new LimitAnswer(LimitStatus.Unknown);
        }

        var until = limit.EndOf(stamp);
        var count = Math.Min(command.Count, PoolOf(limit, stamp) - GrantedOf(limit.Name, command.Key, stamp));
        if (count <= 0)
        {
            return new LimitAnswer(LimitStatus.Exhausted, 0, until);
        }

        Add(new LimitGrant(limit.Name, command.Key, command.Node, 0, count, until));
        return new LimitAnswer(LimitStatus.Granted, count, until);
    }

    private LimitAnswer Return(ReturnTokensCommand command, long stamp)
    {
        if (command.Count < 1 || command.Key is null)
        {
            return new LimitAnswer(LimitStatus.Invalid);
        }

        if (command.Until <= stamp || command.Limit is null || !_grants.TryGetValue((command.Limit, command.Key), out var grants))
        {
            return new LimitAnswer(LimitStatus.Expired);
        }

        var at = grants.FindIndex(g => g.Slot == 0 && g.Until == command.Until && string.Equals(g.Node, command.Node, StringComparison.Ordinal));
        if (at < 0 || grants[at].Count < command.Count)
        {
            return new LimitAnswer(LimitStatus.Invalid);
        }

        Lower(grants, at, command.Count);
        return new LimitAnswer(LimitStatus.Granted);
    }

    private LimitAnswer GrantSlot(WantSlotCommand command, long stamp)
    {
        if (!IsText(command.Key) || !IsText(command.Node))
        {
            return new LimitAnswer(LimitStatus.Invalid);
        }

        if (Find(command.Limit, LimitKind.Concurrency) is not { } limit || !MayHold(limit, command.Key))
        {
            return new LimitAnswer(LimitStatus.Unknown);
        }

        if (GrantedOf(limit.Name, command.Key, stamp) >= PoolOf(limit, stamp))
        {
            var next = _grants.TryGetValue((limit.Name, command.Key), out var grants) && grants.Exists(g => g.Until > stamp)
                ? grants.Where(g => g.Until > stamp).Min(g => g.Until)
                : limit.EndOf(stamp);
            return new LimitAnswer(LimitStatus.Exhausted, 0, next);
        }

        var slot = _nextSlot++;
        HeadChanged();
        Add(new LimitGrant(limit.Name, command.Key, command.Node, slot, 1, limit.EndOf(stamp)));
        return new LimitAnswer(LimitStatus.Granted, 1, limit.EndOf(stamp), slot);
    }

    private LimitAnswer Keep(KeepSlotCommand command, long stamp)
    {
        if (FindSlot(command.Limit, command.Key, command.Node, command.Slot, stamp, out var grants) is var at && at < 0
            || Find(command.Limit, LimitKind.Concurrency) is not { } limit)
        {
            return new LimitAnswer(LimitStatus.Expired);
        }

        if (GrantedOf(limit.Name, command.Key, stamp) > PoolOf(limit, stamp))
        {
            // Shares have grown: what is open beyond the rest ends with its lease.
            return new LimitAnswer(LimitStatus.Exhausted, 0, grants![at].Until);
        }

        var kept = grants![at] with { Until = Math.Max(grants[at].Until, limit.EndOf(stamp)) };
        grants[at] = kept;
        _changes?.Keys.Add((kept.Limit, kept.Key));
        return new LimitAnswer(LimitStatus.Granted, 1, kept.Until, kept.Slot);
    }

    private LimitAnswer Free(FreeSlotCommand command, long stamp)
    {
        var at = FindSlot(command.Limit, command.Key, command.Node, command.Slot, stamp, out var grants);
        if (at < 0)
        {
            return new LimitAnswer(LimitStatus.Expired);
        }

        Lower(grants!, at, 1);
        return new LimitAnswer(LimitStatus.Granted);
    }

    private LimitDefinition? Find(string? name, LimitKind kind) =>
        name is not null && _definitions.TryGetValue(name, out var limit) && limit.Kind == kind ? limit : null;

    private int FindSlot(string? limit, string? key, string? node, long slot, long stamp, out List<LimitGrant>? grants)
    {
        grants = null;
        return limit is not null && key is not null && slot > 0 && _grants.TryGetValue((limit, key), out grants)
            ? grants.FindIndex(g => g.Slot == slot && g.Until > stamp && string.Equals(g.Node, node, StringComparison.Ordinal))
            : -1;
    }

    // Each limit has an even part: whoever can make up keys of one can't take those of another.
    private bool MayHold(LimitDefinition limit, string key) =>
        (_keyCount < _bounds.MaxKeys && KeyCountOf(limit.Name) < Math.Max(1, _bounds.MaxKeys / _definitions.Count))
        || (_grants.TryGetValue((limit.Name, key), out var grants) && grants.Count > 0);

    private void Add(LimitGrant grant)
    {
        var key = (grant.Limit, grant.Key);
        if (!_grants.TryGetValue(key, out var grants))
        {
            _grants.Add(key, grants = new List<LimitGrant>(1));
            _ends.Enqueue(key, grant.Until);
        }

        _changes?.Keys.Add(key);
        var same = grant.Slot != 0 ? -1
            : grants.FindIndex(g => g.Slot == 0 && g.Until == grant.Until && string.Equals(g.Node, grant.Node, StringComparison.Ordinal));
        if (same >= 0)
        {
            grants[same] = grants[same] with { Count = grants[same].Count + grant.Count };
        }
        else
        {
            grants.Add(grant);
            if (grants.Count == 1)
            {
                _heldKeys[grant.Limit] = KeyCountOf(grant.Limit) + 1;
                _keyCount++;
            }
        }
    }

    private void Lower(List<LimitGrant> grants, int at, int count)
    {
        var key = (grants[at].Limit, grants[at].Key);
        _changes?.Keys.Add(key);
        if (grants[at].Count > count)
        {
            grants[at] = grants[at] with { Count = grants[at].Count - count };
            return;
        }

        // An empty list goes when its time has come, so that its place in the order of ends is taken once.
        grants.RemoveAt(at);
        if (grants.Count == 0)
        {
            Released(key.Limit);
        }
    }

    private void Released(string limit)
    {
        _keyCount--;
        if (--_heldKeys[limit] == 0)
        {
            _heldKeys.Remove(limit);
        }
    }

    /// <summary>Forgets what has ended.</summary>
    private void Clear(long stamp)
    {
        while (_ends.TryPeek(out var key, out var end) && end <= stamp)
        {
            _ends.Dequeue();
            var grants = _grants[key];
            var isHeld = grants.Count > 0;
            grants.RemoveAll(g => g.Until <= stamp);
            _changes?.Keys.Add(key);
            if (grants.Count > 0)
            {
                _ends.Enqueue(key, grants.Min(g => g.Until));
            }
            else
            {
                _grants.Remove(key);
                if (isHeld)
                {
                    Released(key.Limit);
                }
            }
        }
    }

    private bool IsText(string? text) => text is { Length: > 0 } && text.Length <= _bounds.MaxText;
}
