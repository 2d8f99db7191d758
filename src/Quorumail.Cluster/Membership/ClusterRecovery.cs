using System.Net;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Cluster.Disk;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.State;

namespace Quorumail.Cluster.Membership;

/// <summary>
/// For a cluster whose majority is lost for good: makes one disk the founder of a new cluster. Offline: the node must not
/// run, and can't while this is open. The whole local log is applied, its tail too, which may never have been committed;
/// the members that it names are left out. What comes of it is a log that begins after that, in a higher term, under a new
/// cluster id.
/// </summary>
public sealed class ClusterRecovery : IAsyncDisposable
{
    // So much the new term lies above the old: none of the lost nodes can have been elected that often unseen.
    private const long TermStep = 1000;

    // A state that is written beside the applying is durable with one of the next flushes, not with the first.
    private const int FlushesMax = 100;

    private readonly ClusterNodeOptions _options;
    private readonly NodeIdentity _identity;
    private readonly ReplicatedStates _states;
    private readonly EntryJournal _journal;
    private readonly List<IAsyncDisposable> _owned;

    private ClusterRecovery(ClusterNodeOptions options, NodeIdentity identity, ReplicatedStates states, EntryJournal journal, List<IAsyncDisposable> owned)
    {
        _options = options;
        _identity = identity;
        _states = states;
        _journal = journal;
        _owned = owned;
        Plan = MakePlan();
    }

    /// <summary>What will be done; nothing has been yet.</summary>
    public RecoveryPlan Plan { get; }

    /// <summary>Opens a node's disk.</summary>
    /// <param name="config">The node's own.</param>
    /// <param name="host">Application and journal, if the node has them; they remain the caller's.</param>
    /// <param name="token">Ends the opening.</param>
    /// <exception cref="InvalidOperationException">There is nothing to recover: no log of a cluster, or one with this member alone.</exception>
    /// <exception cref="JournalException">The disk is damaged, or another node's.</exception>
    /// <exception cref="IOException">The node runs, or the disk has failed.</exception>
    public static Task<ClusterRecovery> OpenAsync(ClusterConfig config, ClusterHost? host, CancellationToken token)
    {
        ArgumentNullException.ThrowIfNull(config);
        ClusterNodeOptions options = new() { NodeId = config.NodeId, Directory = config.LogDirectory, Address = config.AdvertiseAddress };
        return OpenAsync(options, host?.Application ?? new NoApplication(), config.StoreDirectory, host?.Journal, token);
    }

    /// <summary>As above.</summary>
    /// <param name="options">Of the node.</param>
    /// <param name="application">The application's state, opened.</param>
    /// <param name="store">Directory of the shared state; null if there is none.</param>
    /// <param name="journal">Opened and not begun; null to open the one in the node's directory.</param>
    /// <param name="token">Ends the opening.</param>
    internal static async Task<ClusterRecovery> OpenAsync(
        ClusterNodeOptions options, IReplicatedState application, string? store, EntryJournal? journal, CancellationToken token)
    {
        NodeIdentity identity = NodeIdentity.Read(Path.Combine(options.Directory, "identity"))
            ?? throw new InvalidOperationException($"{options.Directory} holds no log of a cluster: there is nothing to recover.");
        if (!string.Equals(identity.NodeId, options.NodeId, StringComparison.Ordinal))
        {
            throw new JournalException($"{options.Directory} is the disk of {identity.NodeId}, not of {options.NodeId}.");
        }

        List<IAsyncDisposable> owned = [];
        try
        {
            if (journal is null)
            {
                journal = EntryJournal.Open(Path.Combine(options.Directory, "journal"), options.SegmentBytes);
                owned.Add(new Closing(journal));
            }

            StateStoreState? shared = null;
            if (store is not null)
            {
                owned.Add(shared = await StateStoreState.OpenAsync(store, new ReplicationCounters(), null, token));
            }

            ReplicatedStates states = await RunningLog.SettleAsync(options, new ClusterNodeStates(application, shared), journal, token);
            ClusterRecovery recovery = new(options, identity, states, journal, owned);
            return recovery.Plan.FormerMembers.Count > 0
                ? recovery
                : throw new InvalidOperationException($"{options.NodeId} is the only member of its cluster: there is nothing to recover.");
        }
        catch
        {
            await DisposeAsync(owned);
            throw;
        }
    }

    /// <summary>
    /// Makes the disk the founder of a new cluster. If that is interrupted the node does not start until it has been done
    /// again, which can be at any time.
    /// </summary>
    /// <exception cref="LogFormatException">A later version of this program wrote the log; nothing can be done without that one.</exception>
    /// <exception cref="IOException">The disk has failed.</exception>
    public async Task<RecoveryReport> ForceNewClusterAsync()
    {
        new RecoveryMark(Plan.Uncertain, Plan.FormerMembers).Write(_options.Directory);
        (long last, long stamp) = ApplyAll();
        long term = await RaiseTermAsync();
        int incarnation = Renumber();
        await FlushAsync(last);
        _journal.Restart(new JournalMark(last, term - 1, stamp, last));
        MembershipFile.Found(Path.Combine(_options.Directory, "members"), [new DnsEndPoint(_identity.NodeId, incarnation)], last);
        NodeIdentity founder = _identity with { ClusterId = Guid.NewGuid(), Incarnation = incarnation };
        founder.Write(Path.Combine(_options.Directory, "identity"));
        RecoveryMark.Delete(_options.Directory);
        return new RecoveryReport(
            founder.NodeId, founder.ClusterId, incarnation, term, last, Plan.Uncertain, Plan.FormerMembers);
    }

    /// <summary>Closes the disk, so that the node can start.</summary>
    public ValueTask DisposeAsync() => DisposeAsync(_owned);

    private static async ValueTask DisposeAsync(List<IAsyncDisposable> owned)
    {
        for (; owned.Count > 0; owned.RemoveAt(owned.Count - 1))
        {
            await owned[^1].DisposeAsync();
        }
    }

    private RecoveryPlan MakePlan()
    {
        RecoveryMark? begun = RecoveryMark.Read(_options.Directory);
        IEnumerable<string> members = MembershipFile.Read(Path.Combine(_options.Directory, "members")).Members.Cast<DnsEndPoint>().Select(m => m.Host)
            .Concat(_states.Cluster.Living.Select(i => i.NodeId))
            .Concat(begun?.FormerMembers ?? [])
            .Where(name => !string.Equals(name, _identity.NodeId, StringComparison.Ordinal));
        long known = Math.Max(_journal.Mark.Index, Math.Min(_states.AppliedIndex, _journal.LastIndex));
        return new RecoveryPlan(
            _identity.NodeId,
            _identity.ClusterId,
            [.. members.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)],
            _journal.LastIndex,
            Math.Max(begun?.Uncertain ?? 0, _journal.LastIndex - known));
    }

    // A snapshot may have left a state ahead of the log: nothing may be written up to there again, for the state would skip it.
    private (long Last, long Stamp) ApplyAll()
    {
        StateApplier applier = new(_states);
        applier.StartAt(_journal.Mark.Index, _journal.Mark.Stamp);
        for (long index = _journal.Mark.Index + 1; index <= _journal.LastIndex; index++)
        {
            JournalEntry entry = _journal.Read(index);
            applier.Apply(index, entry.Kind == RecordKind.Commands ? entry.Payload : default);
        }

        long last = Math.Max(_journal.LastIndex, _states.AppliedIndex);
        applier.Apply(last, default);
        return (last, applier.LastStamp);
    }

    private async Task<long> RaiseTermAsync()
    {
        string directory = Path.Combine(_options.Directory, "vote");
        VoteFile votes = new(directory);
        await using (votes)
        {
            IPersistentState vote = votes;
            long term = Math.Max(vote.Term, _journal.LastTerm) + TermStep;
            await vote.UpdateTermAsync(term, resetLastVote: true, CancellationToken.None);
            Fsync.Directory(directory);
            Fsync.Directory(_options.Directory);
            return term;
        }
    }

    // The others are struck, as if they had been removed. This disk keeps its number, by which the application's state may
    // name what is on it, unless it was removed itself.
    private int Renumber()
    {
        ClusterState cluster = _states.Cluster;
        lock (cluster.Entry)
        {
            foreach (int other in cluster.Living.Select(i => i.Incarnation).Where(i => i != _identity.Incarnation).ToArray())
            {
                cluster.Apply(new LoggedCommand(CommandTarget.Cluster, 0, 0, ClusterCommand.Strike(other)));
            }

            int wanted = cluster.Find(_identity.Incarnation) is { IsStruck: true } ? 0 : _identity.Incarnation;
            ReadOnlyMemory<byte> answer = cluster.Apply(new LoggedCommand(
                CommandTarget.Cluster, 0, 0, ClusterCommand.Admit(_identity.NodeId, _options.Address, Guid.NewGuid(), wanted)));
            return answer.Length == sizeof(int)
                ? BitConverter.ToInt32(answer.Span)
                : throw new JournalException("All incarnations have been given.");
        }
    }

    private async Task FlushAsync(long index)
    {
        for (int i = 0; i < FlushesMax; i++)
        {
            if (await _states.FlushAsync(CancellationToken.None) >= index)
            {
                return;
            }
        }

        throw new IOException($"The state could not be made durable up to entry {index}.");
    }

    private sealed class Closing(IDisposable closed) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            closed.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
