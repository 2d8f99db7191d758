using Quorumail.Core.Delivery;

namespace Quorumail.Core.Queue;

/// <summary>The suspensions, by scope and name; bounded in number. Looking one up costs nothing while there is none.</summary>
internal sealed class SuspensionList(QueueLimits limits)
{
    private readonly Dictionary<string, Suspension> _destinations = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, Suspension> _senders = new(StringComparer.OrdinalIgnoreCase);
    private long _nextExpiry = long.MaxValue;

    /// <summary>When the next one ends, or earlier; <see cref="long.MaxValue"/> for never.</summary>
    public long NextExpiry => _nextExpiry;

    public int Count => _destinations.Count + _senders.Count;

    public IEnumerable<Suspension> All => _destinations.Values.Concat(_senders.Values)
        .OrderBy(s => s.Scope).ThenBy(s => s.Name, StringComparer.Ordinal);

    public bool IsFull => Count >= limits.MaxSuspensions;

    public bool Contains(SuspensionScope scope, string name) => Of(scope).ContainsKey(name);

    public void Set(Suspension suspension)
    {
        Of(suspension.Scope)[suspension.Name] = suspension;
        _nextExpiry = suspension.ExpiresAt == 0 ? _nextExpiry : Math.Min(_nextExpiry, suspension.ExpiresAt);
    }

    public bool Remove(SuspensionScope scope, string name) => Of(scope).Remove(name);

    /// <summary>Whether an attempt for this recipient must not begin.</summary>
    public bool Covers(QueuedMessage message, int recipient) =>
        (_senders.Count > 0 && _senders.ContainsKey(message.ReversePath))
        || (_destinations.Count > 0
            && _destinations.GetAlternateLookup<ReadOnlySpan<char>>().ContainsKey(
                RouteTable.DomainOf(message.Recipients[recipient].Envelope.Address).TrimEnd('.')));

    /// <summary>Takes out what is no more in force.</summary>
    public IReadOnlyList<Suspension> Expire(long stamp)
    {
        if (stamp < _nextExpiry)
        {
            return [];
        }

        var ended = All.Where(s => !s.IsInForce(stamp)).ToArray();
        foreach (var suspension in ended)
        {
            Remove(suspension.Scope, suspension.Name);
        }

        _nextExpiry = All.Where(s => s.ExpiresAt > 0).Select(s => s.ExpiresAt).DefaultIfEmpty(long.MaxValue).Min();
        return ended;
    }

    private Dictionary<string, Suspension> Of(SuspensionScope scope) =>
        scope == SuspensionScope.Destination ? _destinations : _senders;
}
