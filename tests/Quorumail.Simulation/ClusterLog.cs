using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>
/// The replicated log of several nodes, as its contract has it: one order, durable once a majority is there, applied by each
/// node at its own pace. Beside it stands whoever leads: it tells the log of members that it has lost and that are back.
/// </summary>
internal sealed class ClusterLog(Simulator simulator, Oracle oracle)
{
    public const long ProposalTimeout = 10_000;

    private const int Lease = 1500;

    private readonly List<(QueueCommand Command, long Stamp, ApplyStatus Status)> _committed = [];
    private long _version;
    private string _leader = "";
    private long _committedAt;

    public IReadOnlyList<(QueueCommand Command, long Stamp, ApplyStatus Status)> Committed => _committed;

    /// <summary>The bodies in the log.</summary>
    public Dictionary<QueueId, ModelBody> Bodies { get; } = [];

    /// <summary>The processes that run, by node.</summary>
    public SortedDictionary<string, ClusterServer> Servers { get; } = new(StringComparer.Ordinal);

    /// <summary>Faults may happen.</summary>
    public bool IsFaulty { get; set; } = true;

    /// <summary>No quorum until then.</summary>
    public long OutageUntil { get; set; }

    /// <summary>A majority's disks, of as many nodes as there are.</summary>
    public int MinCopies => oracle.Disks.Count / 2 + 1;

    private bool HasQuorum => simulator.Now >= OutageUntil && Servers.Values.Count(s => s.IsReachable) >= MinCopies;

    /// <summary>Cluster time at the node that is furthest.</summary>
    public long ClusterTime => Servers.Values.Select(s => s.Stamp).DefaultIfEmpty(simulator.Now).Max();

    private long LastStamp => _committed.Count > 0 ? _committed[^1].Stamp : 0;

    /// <summary>Where a new life's time begins: where the others are or, when all had stopped, where its wall clock moves it.</summary>
    public long TimeFor(ClusterServer server)
    {
        if (Servers.Count > 0)
        {
            return ClusterTime;
        }

        var time = ModelClock.AfterStop(LastStamp, simulator.Now + server.Disk.WallError);
        oracle.Jumped += LastStamp == 0 ? 0 : Math.Max(0, time - LastStamp - (simulator.Now - _committedAt));
        return time;
    }

    /// <summary>Proposes a command; the answer is null when nothing is known to be applied.</summary>
    public void Propose(ClusterServer from, QueueCommand command, Action<ApplyStatus?> answer)
    {
        var fate = IsFaulty ? simulator.Random.NextDouble() * 100 : 100;
        if (fate < 2)
        {
            from.After(simulator.Between(1, 50), () => answer(null));
        }
        else if (fate < 8 || !from.IsReachable || !HasQuorum)
        {
            // Unknown to the proposer; commits at any time, or never, even if its life has ended.
            simulator.After(simulator.Between(1, 90_000), () => Commit(from, command));
            from.After(ProposalTimeout, () => answer(null));
        }
        else
        {
            simulator.After(simulator.Between(1, 30), () =>
            {
                if (Commit(from, command) is { } status && from.IsReachable)
                {
                    from.After(0, () =>
                    {
                        from.CatchUp();
                        answer(status);
                    });
                }
                else
                {
                    from.After(ProposalTimeout, () => answer(null));
                }
            });
        }
    }

    /// <summary>The leader says who the members are and which disks they have.</summary>
    public void ChangeMembers() => Lead(
        () => oracle.State.Members is not { } members || members.Nodes.Count != oracle.Disks.Count
            || oracle.Disks.Any(d => members.Find(d.Key)?.Incarnation != d.Value.Incarnation),
        () => new NodesChangedCommand(
            [.. oracle.Disks.Select(d => new BodyHolder(d.Key, d.Value.Incarnation))], MinCopies, 60_000, ++_version));

    /// <summary>The leader has no contact with a node any more, or thinks so.</summary>
    public void Miss(string node) => simulator.After(Lease + simulator.Between(0, 1000), () => Lead(
        () => !IsReachable(node) && oracle.State.Members?.Find(node) is { IsDown: false },
        () => new NodeDownCommand(node, oracle.State.Members!.Find(node)!.Incarnation)));

    /// <summary>The leader takes a healthy node for lost, for a while.</summary>
    public void Suspect(string node)
    {
        Lead(
            () => oracle.State.Members?.Find(node) is { IsDown: false },
            () => new NodeDownCommand(node, oracle.State.Members!.Find(node)!.Incarnation));
        simulator.After(simulator.Between(100, 5000), () => Meet(node));
    }

    /// <summary>The leader has contact with a node again.</summary>
    public void Meet(string node) => simulator.After(simulator.Between(0, 300), () => Lead(
        () => IsReachable(node) && oracle.State.Members?.Find(node) is { IsDown: true },
        () => oracle.State.Members!.Find(node)! is var known ? new NodeUpCommand(node, known.Incarnation, known.Life) : null!));

    private bool IsReachable(string node) => Servers.TryGetValue(node, out var server) && server.IsReachable;

    private void Lead(Func<bool> isNeeded, Func<QueueCommand> command)
    {
        if (!isNeeded())
        {
            return;
        }

        if (HasQuorum)
        {
            Commit(null, command());
        }
        else
        {
            simulator.After(1000, () => Lead(isNeeded, command));
        }
    }

    private ApplyStatus? Commit(ClusterServer? from, QueueCommand command)
    {
        // Without a majority nothing commits; of what a lost life has proposed, some does.
        if (!HasQuorum || (from is { IsAlive: false } && simulator.Chance(50)))
        {
            return null;
        }

        var stamp = Leader().Stamp;
        var status = oracle.Committed(command, stamp, from?.Name);
        _committed.Add((command, stamp, status));
        _committedAt = simulator.Now;
        foreach (var server in Servers.Values)
        {
            server.After(simulator.Between(0, simulator.Chance(5) ? 2000 : 30), server.CatchUp);
        }

        return status;
    }

    /// <summary>Who leads, and so says what time it is: another one if it can't be reached. It has applied all that is committed.</summary>
    private ClusterServer Leader()
    {
        if (!IsReachable(_leader) || simulator.Chance(1))
        {
            var possible = Servers.Values.Where(s => s.IsReachable).ToArray();
            _leader = possible[simulator.Random.Next(possible.Length)].Name;
        }

        Servers[_leader].CatchUp();
        return Servers[_leader];
    }
}
