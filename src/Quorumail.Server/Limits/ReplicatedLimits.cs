using Quorumail.Core.Limits;
using Quorumail.Server.Limits.Format;

namespace Quorumail.Server.Limits;

/// <summary>
/// The limits' part of the application's state in the log: commands are applied between those of the queue, and written behind
/// with them. Safe for concurrent use; commands come from one caller, who also holds the queue still when it takes what is pending.
/// </summary>
internal sealed class ReplicatedLimits(LimitState restored)
{
    /// <summary>The first byte of the limits' commands in the log; above every version of the queue's, so that an older program refuses them.</summary>
    public const byte Tag = 0x80;

    private readonly Lock _lock = new();
    private readonly LimitChanges _changes = new();
    private LimitState _state = restored;
    private volatile LimitRules _rules = RulesOf(restored);
    private volatile int _pendingCount;

    /// <summary>The limits as they are now; another object when they have changed.</summary>
    public LimitRules Rules => _rules;

    /// <summary>Changes that the database does not have.</summary>
    public int PendingCount => _pendingCount;

    /// <summary>All there is; null if nothing was ever granted or defined.</summary>
    public LimitRecords? Records
    {
        get
        {
            lock (_lock)
            {
                return _rules.Limits.Count == 0 && _rules.Members.Count == 0 && _state is { KeyCount: 0, Head.NextSlot: 1 } ? null : _state.Records;
            }
        }
    }

    /// <summary>Whether an entry's command is for the limits.</summary>
    public static bool IsCommand(ReadOnlySpan<byte> command) => !command.IsEmpty && command[0] == Tag;

    /// <summary>A command as it stands in the log.</summary>
    public static byte[] Encode(LimitCommand command) => [Tag, .. LimitEncoding.Encode(command)];

    /// <summary>Applies a command and answers it.</summary>
    /// <exception cref="InvalidDataException">A later version wrote it.</exception>
    public ReadOnlyMemory<byte> Apply(ReadOnlySpan<byte> command, long stamp)
    {
        if (LimitEncoding.DecodeCommand(command[1..]) is not { } decoded)
        {
            return LimitEncoding.Encode(new LimitAnswer(LimitStatus.Invalid));
        }

        lock (_lock)
        {
            var answer = _state.Apply(decoded, stamp, _changes);
            if (decoded is DefineLimitCommand or RemoveLimitCommand or LimitNodesCommand or AdoptShareCommand)
            {
                _rules = RulesOf(_state);
            }

            _pendingCount = _changes.Keys.Count + (_changes.Head ? 1 : 0);
            return LimitEncoding.Encode(answer);
        }
    }

    /// <summary>How much of each limit is granted, by limit. Looks through all grants.</summary>
    /// <param name="now">Cluster time.</param>
    public IReadOnlyList<LimitUsage> Usage(long now)
    {
        lock (_lock)
        {
            var usage = _state.Definitions.ToDictionary(
                limit => limit.Name, limit => new LimitUsage(limit, limit.Capacity - _state.PoolOf(limit, now), 0, 0, null, 0), StringComparer.Ordinal);
            foreach (var (limit, key, granted) in _state.GrantedAt(now))
            {
                if (usage.TryGetValue(limit, out var before))
                {
                    usage[limit] = before.With(key, granted);
                }
            }

            return [.. usage.Values.OrderBy(each => each.Limit.Name, StringComparer.Ordinal)];
        }
    }

    /// <summary>Takes what is to be written.</summary>
    public PendingLimits TakePending()
    {
        if (_pendingCount == 0)
        {
            return PendingLimits.None;
        }

        lock (_lock)
        {
            var pending = new PendingLimits(
                _changes.Head ? _state.Head : null,
                [.. _changes.Keys.Select(key => (key.Limit, key.Key, _state.GrantsOf(key.Limit, key.Key)))]);
            _changes.Clear();
            _pendingCount = 0;
            return pending;
        }
    }

    /// <summary>Goes on with what a snapshot holds, which is written already.</summary>
    public void Replace(LimitRecords? records)
    {
        lock (_lock)
        {
            _state = records is null ? new LimitState() : LimitState.Restore(records);
            _changes.Clear();
            _pendingCount = 0;
            _rules = RulesOf(_state);
        }
    }

    private static LimitRules RulesOf(LimitState state) => new([.. state.Definitions], [.. state.Members], state.Shares);
}
