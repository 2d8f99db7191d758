using System.Buffers;
using System.Threading.Channels;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <content>Who leads, and what follows from it.</content>
public sealed partial class ClusterNode
{
    private readonly Channel<RoleChange> _roleChanges = Channel.CreateUnbounded<RoleChange>();
    private readonly Lock _roleLock = new();
    private RoleChange _role = new(NodeRole.Follower, null, 0);
    private Task _telling = Task.CompletedTask;
    private Task _leading = Task.CompletedTask;
    private Task _keeping = Task.CompletedTask;
    private CancellationTokenSource? _leadership;
    private long _leadingSince;

    /// <summary>What this node is.</summary>
    public NodeRole Role => Volatile.Read(ref _role).Role;

    /// <summary>Who leads, if it is known here.</summary>
    public string? LeaderId => Volatile.Read(ref _role).LeaderId;

    /// <summary>Whether this node leads, as far as it knows.</summary>
    public bool Leads => _log is { Node.Leads: true };

    /// <summary>Whether proposals can commit now: a leader is known, and what it has committed is applied here, but for the latest.</summary>
    public bool IsReady =>
        !_queue.IsClosed && _log is { } log
        && (log.Trail.IsAlone ? log.Node.Leads : log.Node.LeadsCommitted || (log.Node.Leader is { IsRemote: true, IsReachable: true } && HasCaughtUp(log)));

    /// <summary>When the members that this leader goes by last answered; empty while it does not lead. A new leader gives each a whole silence.</summary>
    internal IReadOnlyList<(string NodeId, int Incarnation, TimeSpan Silence)> Contacts
    {
        get
        {
            if (_log is not { Node.LeadsCommitted: true } log)
            {
                return [];
            }

            long since = Volatile.Read(ref _leadingSince);
            return [.. log.Node.Members.Select(member => (
                member.NodeId, member.Incarnation, member.IsRemote ? _time.GetElapsedTime(Math.Max(since, member.LastContact)) : TimeSpan.Zero))];
        }
    }

    private static bool HasCaughtUp(RunningLog log) => log.Trail.CommitIndex > 0 && log.Applier.AppliedIndex >= log.Trail.CommitIndex - 1024;

    private void StartRoles(RunningLog log)
    {
        _telling = TellAsync();
        _keeping = _transport is null ? Task.CompletedTask : KeepAsync(log, _transport);
        log.Node.LeaderChanged += (_, leader) => LeaderChanged(log, leader);
        log.Node.Voting = (term, isPreVote) => VotingBegins(log, term, isPreVote);
        log.Node.MembersChanged = () => MembersChanged(log);
        log.Node.Deposed = Deposed;
        if (log.Node.Leader is { } leader)
        {
            LeaderChanged(log, leader);
        }
    }

    private async Task StopRolesAsync()
    {
        if (_leadership is { } leadership)
        {
            await leadership.CancelAsync();
        }

        await _leading;
        await _keeping;
        _roleChanges.Writer.TryComplete();
        await _telling;
    }

    // Called by the engine under its locks: nothing here may wait.
    private void LeaderChanged(RunningLog log, RaftMember? leader)
    {
        long term = Term;
        RoleChange before = _role;
        RoleChange after = leader switch
        {
            null => new RoleChange(NodeRole.Follower, null, term),
            { IsRemote: false } => new RoleChange(NodeRole.Leader, NodeId, term),
            _ => new RoleChange(NodeRole.Follower, leader.NodeId, term),
        };
        Become(_ => after);
        if (before == after)
        {
            return;
        }

        ClusterEventKind kind = after.Role == NodeRole.Leader ? ClusterEventKind.ElectionWon
            : before.Role == NodeRole.Leader ? ClusterEventKind.SteppedDown
            : leader is null ? ClusterEventKind.LeaderLost
            : ClusterEventKind.LeaderKnown;
        Events.Note(kind, term, kind switch
        {
            ClusterEventKind.ElectionWon => $"{NodeId} leads term {term}.",
            ClusterEventKind.SteppedDown => leader is null ? $"{NodeId} leads no more." : $"{NodeId} leads no more; {leader.NodeId} does.",
            ClusterEventKind.LeaderLost => "No leader is known.",
            _ => $"{leader!.NodeId} leads term {term}.",
        });
        if (after.Role == NodeRole.Leader)
        {
            log.Node.LeadershipBegins(term);
            BeginLeading(log, term);
        }
        else
        {
            Interlocked.Exchange(ref _leadership, null)?.Cancel();
        }

        _changed.Set();
    }

    private void Deposed()
    {
        if (_role.Role == NodeRole.Leader)
        {
            Become(now => now.Deposed(Term));
            Events.Note(ClusterEventKind.SteppedDown, Term, $"{NodeId} leads no more: no majority follows it, or somebody leads a later term.");
            Interlocked.Exchange(ref _leadership, null)?.Cancel();
            _changed.Set();
        }
    }

    private void VotingBegins(RunningLog log, long term, bool isPreVote)
    {
        string contact = log.Node.Candidacies.HeardAt is var at and not 0
            ? $"{_time.GetElapsedTime(at).TotalMilliseconds:F0} ms ago"
            : "never";
        if (isPreVote)
        {
            Become(now => now.Asking(Term));
            Events.Note(ClusterEventKind.LeaderMissed, term, $"Last contact with the leader {LeaderId ?? "(none known)"}: {contact}. Asks {log.Node.Members.Count - 1} others whether they miss it, too.");
        }
        else
        {
            Become(now => now.Standing(term));
            Events.Note(ClusterEventKind.ElectionStarted, term, $"{NodeId} stands for term {term}. Last contact with a leader: {contact}.");
        }
    }

    private void Become(Func<RoleChange, RoleChange> change)
    {
        lock (_roleLock)
        {
            RoleChange next = change(_role);
            if (_role != next)
            {
                Volatile.Write(ref _role, next);
                _roleChanges.Writer.TryWrite(next);
            }
        }
    }

    private async Task TellAsync()
    {
        await foreach (RoleChange change in _roleChanges.Reader.ReadAllAsync(CancellationToken.None))
        {
            RoleChanged?.Invoke(change);
        }
    }

    private void BeginLeading(RunningLog log, long term)
    {
        foreach (RaftMember member in log.Node.Members)
        {
            member.Reset(); // What an earlier leadership knew.
        }

        Volatile.Write(ref _leadingSince, _time.GetTimestamp());
        CancellationTokenSource leadership = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        Interlocked.Exchange(ref _leadership, leadership)?.Cancel();
        Task before = _leading;
        _leading = Task.Run(async () =>
        {
            await before;
            try
            {
                await LeadAsync(log, term, leadership.Token);
            }
            catch (Exception over) when (over is OperationCanceledException or NotLeaderException or TermPassedException or ObjectDisposedException)
            {
                // Somebody else leads, or the node stops.
            }
        }, CancellationToken.None);
    }

    private async Task LeadAsync(RunningLog log, long term, CancellationToken token)
    {
        if (_transport is null)
        {
            return;
        }

        ArrayBufferWriter<byte> body = new();
        new LeaderAnnounce(NodeId, term).Write(body);
        foreach (Transport.NodeHello peer in _transport.Peers)
        {
            _transport.TrySend(peer.NodeId, FrameType.LeaderAnnounce, body.WrittenMemory);
        }

        await WarmClockAsync(log, token);
        await WaitForOwnTermAsync(log, token);
        await TendAsync(log, token);
    }

    // The first entry of its term tells a leader what its predecessors have committed.
    private async Task WaitForOwnTermAsync(RunningLog log, CancellationToken token)
    {
        while (!log.Node.LeadsCommitted)
        {
            if (!log.Node.Leads)
            {
                throw new TermPassedException("This node does not lead any more.");
            }

            await Task.Delay(_options.Timers.Heartbeat / 10, _time, token);
        }
    }

}
