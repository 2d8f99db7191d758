namespace Quorumail.Cluster.Raft;

/// <summary>
/// When a node that misses its leader stands for election, and whose candidacy it supports. The engine's own time-out is the
/// lower one on every node: it waits for that before it asks for votes, and before it gives one. The random rest of a
/// follower's patience is waited for here, before it asks: the first that asks finds the others missing the leader, too.
/// </summary>
/// <param name="nodeId">This node.</param>
/// <param name="timers">The cluster's timers.</param>
/// <param name="time">The clock.</param>
/// <param name="random">Where the random rest of the patience comes from.</param>
internal sealed class Candidacies(string nodeId, ClusterTimers timers, TimeProvider time, Random random)
{
    private readonly Lock _lock = new();
    private long _heardAt;
    private Candidacy? _supported;
    private long _supportedAt;

    /// <summary>When a leader was last heard of (timestamp of the clock); 0 if never.</summary>
    public long HeardAt => Volatile.Read(ref _heardAt);

    /// <summary>A leader was heard of.</summary>
    public void LeaderHeard() => Volatile.Write(ref _heardAt, time.GetTimestamp());

    /// <summary>This node has missed its leader for the lower time-out. Gives, after the rest of its patience, whether it is to ask for votes.</summary>
    public async Task<bool> StandAsync(long lastTerm, long lastIndex)
    {
        long heard = HeardAt;
        TimeSpan patience;
        lock (_lock)
        {
            patience = (timers.ElectionUpper - timers.ElectionLower) * random.NextDouble();
        }

        await Task.Delay(patience, time);
        return HeardAt == heard && TryStand(lastTerm, lastIndex);
    }

    /// <summary>
    /// Another node asks whether it would get a vote: waits, if this one heard the leader a moment later than that one did, until it misses
    /// the leader as long. Two followers hear of a leader at most a heartbeat apart; who asks gives up after <see cref="ClusterTimers.Vote"/>.
    /// </summary>
    public async Task MissLeaderAsync(CancellationToken token)
    {
        TimeSpan most = timers.Heartbeat < timers.Vote / 2 ? timers.Heartbeat : timers.Vote / 2;
        TimeSpan left = HeardAt is var heard and not 0 ? timers.ElectionLower - time.GetElapsedTime(heard) : TimeSpan.Zero;
        if (left > TimeSpan.Zero && left <= most)
        {
            await Task.Delay(left + TimeSpan.FromMilliseconds(1), time, token);
        }
    }

    /// <summary>Whether this node stands itself: not while it supports another.</summary>
    public bool TryStand(long lastTerm, long lastIndex)
    {
        lock (_lock)
        {
            if (Supported is { } other && !other.IsOf(nodeId))
            {
                return false;
            }

            Support(new Candidacy(lastTerm, lastIndex, nodeId));
            return true;
        }
    }

    /// <summary>
    /// Whether this node supports another that asks: of two that ask at the same time, only the one with the longer log, or the higher name. Else each could
    /// get as many votes as the other, and both would have to begin anew.
    /// </summary>
    public bool TrySupport(string candidate, long lastTerm, long lastIndex)
    {
        Candidacy asking = new(lastTerm, lastIndex, candidate);
        lock (_lock)
        {
            if (Supported is { } other && !other.IsOf(candidate) && asking.IsBelow(other))
            {
                return false;
            }

            Support(asking);
            return true;
        }
    }

    // The candidacy that is supported now. An election that was begun takes no longer than its votes may.
    private Candidacy? Supported => _supported is not null && time.GetElapsedTime(_supportedAt) < timers.Vote ? _supported : null;

    private void Support(Candidacy candidacy)
    {
        _supported = candidacy;
        _supportedAt = time.GetTimestamp();
    }

    private sealed record Candidacy(long LastTerm, long LastIndex, string NodeId)
    {
        public bool IsOf(string node) => string.Equals(NodeId, node, StringComparison.Ordinal);

        public bool IsBelow(Candidacy other) =>
            (LastTerm, LastIndex).CompareTo((other.LastTerm, other.LastIndex)) is var log and not 0 ? log < 0 : string.CompareOrdinal(NodeId, other.NodeId) < 0;
    }
}
