using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Threading.Channels;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Raft;

/// <summary>The engine: terms, votes, commit, and the members that the log says there are.</summary>
internal sealed class RaftNode : RaftCluster<RaftMember>
{
    private readonly RaftTrail _trail;
    private readonly MembershipFile _membership;
    private readonly ILogger _logger;

    // One signal is enough for all changes before it.
    private readonly Channel<bool> _changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private IReadOnlySet<EndPoint>? _membersGoneBy;
    private Following? _followed;
    private Task _following = Task.CompletedTask;
    private int _installing;
    private int _taking;
    private long _confirmedAfter;
    private long _leadTerm;
    private bool _leadershipEnded;

    [SetsRequiredMembers]
    public RaftNode(
        DnsEndPoint self, ClusterTimers timers, RaftTrail trail, MembershipFile membership, MemberCalls calls, ElectionCalls elections, TimeProvider time, ILogger logger)
        : base(new Configuration(timers))
    {
        Self = self;
        Timers = timers;
        Calls = calls;
        Elections = elections;
        Time = time;
        _trail = trail;
        _membership = membership;
        _logger = new EngineLog(logger, time, trail.Fail);
        AuditTrail = trail;
    }

    /// <summary>This node as a member.</summary>
    public DnsEndPoint Self { get; }

    public ClusterTimers Timers { get; }

    public MemberCalls Calls { get; }

    public ElectionCalls Elections { get; }

    public Candidacies Candidacies => Elections.Candidacies;

    public TimeProvider Time { get; }

    public RaftTrail Trail => _trail;

    /// <summary>Bytes written to the log in this life.</summary>
    public Func<long> LogWritten { get; init; } = static () => 0;

    /// <summary>Bytes that the log may grow by for the sake of one member.</summary>
    public Func<long> LogRoom { get; init; } = static () => long.MaxValue;

    /// <summary>Where it says what the operator should know.</summary>
    public ILogger Log => _logger;

    /// <summary>Told that this node asks for votes: the term, and whether it only asks if it would get them.</summary>
    public Action<long, bool>? Voting { get; set; }

    /// <summary>Told when this node's leadership has ended; the engine goes on to name it leader until somebody is elected.</summary>
    public Action? Deposed { get; set; }

    /// <summary>Told when the members that the engine goes by have changed.</summary>
    public Action? MembersChanged { get; set; }

    /// <summary>An answer to what was sent before this says nothing of whether this node leads still (timestamp of the clock).</summary>
    public long ConfirmedAfter => Volatile.Read(ref _confirmedAfter);

    /// <summary>Whether this node leads, as far as it knows.</summary>
    public bool Leads => Leader is { IsRemote: false } && !Volatile.Read(ref _leadershipEnded);

    /// <summary>
    /// The term that this node leads, or has led last: that of its entries. The log's term is no substitute: it rises when a
    /// later leader is heard of, a moment before this leadership ends, and an entry of that term is the later leader's to write.
    /// </summary>
    public long LeadTerm => Volatile.Read(ref _leadTerm);

    /// <summary>Whether this node leads and has committed an entry of its own term.</summary>
    public bool LeadsCommitted
    {
        get
        {
            try
            {
                return Leads && !LeadershipToken.IsCancellationRequested;
            }
            catch (UnreachableException)
            {
                return false; // The engine has stopped for a failed disk.
            }
        }
    }

    protected override ILogger Logger => _logger;

    public override async Task StartAsync(CancellationToken token = default)
    {
        _membership.ConfigurationChanged += (_, _) =>
        {
            LookAtMembers();
            return ValueTask.CompletedTask;
        };
        _trail.NextMembersChanged = LookAtMembers;
        _trail.Appended = SendAheadAsync;
        LeaderChanged += (_, _) => LookAtMembers();
        await FollowAsync(MembersToGoBy(), token);
        if (Members.Count == 1 && Members.First() is { IsRemote: false })
        {
            // A lone member is made leader without a vote, in the term that the disk holds. Without a term of its own,
            // entries of two lives would look alike.
            await AuditTrail.IncrementTermAsync(ClusterMemberId.FromEndPoint(Self), token);
        }

        _following = FollowChangesAsync();
        await base.StartAsync(token);
        StartFollowing();
        if (Leads)
        {
            LeadershipBegins(AuditTrail.Term); // A lone member's, which nobody else can end.
        }
    }

    public override async Task StopAsync(CancellationToken token = default)
    {
        _changes.Writer.TryComplete();
        await base.StopAsync(token);
        await _following;
    }

    /// <summary>This node asks itself for its vote, which it gives, unless it does not stand after all.</summary>
    public async Task<bool> VotingBeginsAsync(long term, long lastIndex, long lastTerm, bool isPreVote, CancellationToken token)
    {
        // The leader asks nothing more while it waits for an answer: what is missed then is this node's own disk.
        bool stands = !(isPreVote && Volatile.Read(ref _taking) > 0) && await Elections.AnswerSelfAsync(term, lastIndex, lastTerm, isPreVote, Members.Count, token);
        if (stands)
        {
            Voting?.Invoke(term, isPreVote);
        }

        return stands;
    }

    /// <summary>Returns when a majority has answered to what was sent after the call.</summary>
    /// <exception cref="NotLeaderException">This node does not lead.</exception>
    public async ValueTask ConfirmAsync(CancellationToken token)
    {
        Volatile.Write(ref _confirmedAfter, Time.GetTimestamp());
        await ForceReplicationAsync(token);
    }

    /// <summary>This node leads from now on.</summary>
    public void LeadershipBegins(long term)
    {
        Volatile.Write(ref _leadTerm, term);
        Volatile.Write(ref _leadershipEnded, false);
    }

    /// <summary>This node leads no more.</summary>
    public void LeadershipEnds()
    {
        if (!Interlocked.Exchange(ref _leadershipEnded, true))
        {
            Deposed?.Invoke();
            LookAtMembers();
        }
    }

    /// <summary>A member has less than was asked for: it is sent more at once, not with the next heartbeat.</summary>
    public void MemberLags(long term) => _ = ReplicateAgainAsync(term);

    public Task<bool> ResignHereAsync(CancellationToken token) => ResignAsync(token).AsTask();

    /// <summary>A candidate asks for this node's vote.</summary>
    public async Task<(long Term, bool IsGranted)> AnswerElectionAsync(
        DnsEndPoint candidate, long term, long lastIndex, long lastTerm, bool isPreVote, CancellationToken token)
    {
        ClusterMemberId sender = ClusterMemberId.FromEndPoint(candidate);
        if (isPreVote)
        {
            await Candidacies.MissLeaderAsync(token);
            Result<PreVoteResult> preVote = await PreVoteAsync(sender, term, lastIndex, lastTerm, 0, token);
            return (preVote.Term, preVote.Value == PreVoteResult.Accepted && Candidacies.TrySupport(candidate.Host, lastTerm, lastIndex));
        }

        try
        {
            Result<bool> vote = await VoteAsync(sender, term, lastIndex, lastTerm, 0, token);
            return (vote.Term, vote.Value);
        }
        catch (IOException broken)
        {
            DiskFailed(broken);
            throw;
        }
    }

    /// <summary>A leader sends entries, or a heartbeat. Gives the answer's frame.</summary>
    public async ValueTask<ReadOnlyMemory<byte>> AnswerAppendAsync(DnsEndPoint leader, AppendFrame frame, CancellationToken token)
    {
        if (Volatile.Read(ref _installing) > 0)
        {
            using FrameWriter busy = new();
            return busy.Byte((byte)FrameAnswer.Installing).Long(AuditTrail.Term).ToArray();
        }

        JournalMark mark = _trail.Mark;
        AppendFrame known = frame.After(mark.Index, mark.Term);
        Result<ReplicationStatus> result;
        try
        {
            if (await TryFollowAsync(leader, known))
            {
                Candidacies.LeaderHeard();
                using FrameWriter taken = new();
                return taken.Byte((byte)FrameAnswer.Done).Long(known.Term).Byte((byte)HeartbeatResult.ReplicatedWithLeaderTerm).Long(known.LastIndex).ToArray();
            }

            long began = Time.GetTimestamp();
            result = await AppendEntriesAsync(
                ClusterMemberId.FromEndPoint(leader), known.Term, known, known.PreviousIndex, known.PreviousTerm, known.CommitIndex, 0, token);
            _followed = result.Value.Result == HeartbeatResult.Rejected ? null : new Following(leader, known.Term, began);
        }
        catch (IOException broken)
        {
            DiskFailed(broken);
            throw;
        }

        if (result.Term <= frame.Term)
        {
            Candidacies.LeaderHeard();
        }

        // What is committed is the leader's too, so it need not look for the place before that where the logs part.
        long last = result.Value.Result == HeartbeatResult.Rejected
            ? Math.Min(result.Value.LastIndex, _trail.CommitIndex)
            : result.Value.LastIndex;
        using FrameWriter answer = new();
        return answer.Byte((byte)FrameAnswer.Done).Long(result.Term).Byte((byte)result.Value.Result).Long(last).ToArray();
    }

    // The engine has a follower that hears of its leader wake several threads, each time. So it is told only as often as its timers need, and
    // whenever there is anything to decide: here are taken the next entries of the leader that it has recognised in this term, and an answer is
    // given only if the log is still in that term when they are durable. A vote in another term is given after the log has entered that,
    // and looks at the log afterwards: it knows of each entry whose answer has gone out.
    private async ValueTask<bool> TryFollowAsync(DnsEndPoint leader, AppendFrame frame)
    {
        if (frame.Entries.Count == 0 || Volatile.Read(ref _followed) is not { } followed || !followed.Knows(leader, frame.Term, this)
            || !_trail.TryAppendNext(frame.Term, frame.PreviousIndex, frame.PreviousTerm, frame.Entries))
        {
            return false;
        }

        if (frame.CommitIndex >= frame.PreviousIndex)
        {
            // Applied by a thread of its own, while the disk is busy with what is new.
            _trail.HearCommitted(frame.PreviousIndex, frame.PreviousTerm, here: false);
        }

        Interlocked.Increment(ref _taking);
        try
        {
            if (await _trail.WaitDurableInTermAsync(frame.LastIndex, frame.Term))
            {
                return true;
            }
        }
        finally
        {
            Interlocked.Decrement(ref _taking);
        }

        await Task.Yield(); // What the engine does then may wait for the journal, whose thread this is.
        return false;
    }

    /// <summary>Installs a snapshot that has been received whole.</summary>
    public async Task<Result<HeartbeatResult>> InstallAsync(
        DnsEndPoint leader, long term, StagedSnapshot snapshot, long index, CancellationToken token)
    {
        Interlocked.Increment(ref _installing);
        try
        {
            if (index > _trail.CommitIndex)
            {
                return await InstallSnapshotAsync(ClusterMemberId.FromEndPoint(leader), term, snapshot, index, 0, token);
            }

            await _membership.SaveConfigurationAsync(snapshot.Members, snapshot.MembersVersion, token);
            return new Result<HeartbeatResult> { Term = AuditTrail.Term, Value = HeartbeatResult.Replicated };
        }
        catch (IOException broken)
        {
            DiskFailed(broken);
            throw;
        }
        finally
        {
            Interlocked.Decrement(ref _installing);
        }
    }

    /// <summary>Adds a member after it has caught up; false if it has not, and is to be tried again.</summary>
    public async Task<bool> TryAddAsync(DnsEndPoint address, int rounds, CancellationToken token)
    {
        using RaftMember learner = new(address, this, isLearner: true);
        return await AddMemberAsync(learner, rounds, _membership, static member => member.EndPoint, token);
    }

    /// <summary>Removes a member; false if it was none.</summary>
    public Task<bool> RemoveAsync(DnsEndPoint address, CancellationToken token) =>
        RemoveMemberAsync(ClusterMemberId.FromEndPoint(address), _membership, static member => member.EndPoint, token);

    // The engine knows a term or a vote, and goes on by it, before it has written it: it must not go on if it could not.
    private void DiskFailed(IOException problem)
    {
        if (!LifecycleToken.IsCancellationRequested)
        {
            _trail.Fail(problem);
        }
    }

    private async Task ReplicateAgainAsync(long term)
    {
        await Task.Yield();
        try
        {
            if (AuditTrail.Term == term)
            {
                await ForceReplicationAsync(LifecycleToken);
            }
        }
        catch (Exception ended) when (ended is NotLeaderException or OperationCanceledException or ObjectDisposedException)
        {
            // Somebody else leads now, and sends what is needed.
        }
    }

    // An entry goes to the members before the engine's threads are woken. If it has gone to all that can be reached, they are woken when a majority has
    // it, and find the answers.
    private Task SendAheadAsync(JournalEntry entry, long previousTerm)
    {
        int needed = Members.Count / 2;
        if (needed == 0)
        {
            return Task.CompletedTask;
        }

        AheadRound round = new(needed);
        bool isWithAll = true;
        int sent = 0;
        foreach (RaftMember member in Members)
        {
            if (member.IsRemote && member.IsReachable)
            {
                bool isSent = member.SendAhead(entry, previousTerm, _trail.CommitIndex, round);
                isWithAll &= isSent;
                sent += isSent ? 1 : 0;
            }
        }

        return isWithAll && sent >= needed ? round.Task : Task.CompletedTask;
    }

    // Called by threads that must not wait for the engine's locks.
    private void LookAtMembers() => _changes.Writer.TryWrite(true);

    // A node goes by the last list of members in its log, applied or not (Ongaro's dissertation, 4.1): else those who hold a
    // committed list and were never told so might wait for the votes of nodes that are gone. Two exceptions, as before the
    // list was written: the leader that wrote it, until it is applied, for the engine's sake; and a node that it leaves out,
    // which may still be needed to commit it.
    private IReadOnlySet<EndPoint> MembersToGoBy() =>
        _trail.NextMembers is { } next && next.Members.Contains(Self) && !(Leads && next.Term == AuditTrail.Term)
            ? next.Members
            : _membership.Members;

    private async Task FollowChangesAsync()
    {
        await foreach (bool _ in _changes.Reader.ReadAllAsync(CancellationToken.None))
        {
            try
            {
                await FollowAsync(MembersToGoBy(), LifecycleToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private async Task FollowAsync(IReadOnlySet<EndPoint> wanted, CancellationToken token)
    {
        if (_membersGoneBy is null || !wanted.SetEquals(_membersGoneBy))
        {
            await ChangeMembersAsync(wanted, token);
            _membersGoneBy = wanted;
        }

        _trail.IsAlone = Members is { Count: 1 } && Members.First() is { IsRemote: false };
        MembersChanged?.Invoke();
    }

    private async Task ChangeMembersAsync(IReadOnlySet<EndPoint> wanted, CancellationToken token)
    {
        ConfigurationChangeScope scope = await ChangeConfigurationAsync(token);
        try
        {
            HashSet<EndPoint> present = [];
            foreach (RaftMember member in scope.Members.Values)
            {
                if (wanted.Contains(member.EndPoint))
                {
                    present.Add(member.EndPoint);
                }
                else
                {
                    scope.MarkAsRemoved(member);
                }
            }

            foreach (DnsEndPoint added in wanted.Cast<DnsEndPoint>().Where(w => !present.Contains(w)))
            {
                scope.MarkAsAdded(new RaftMember(added, this));
            }
        }
        finally
        {
            await scope.DisposeAsync();
        }
    }

    /// <summary>A leader that the engine has recognised, and when.</summary>
    private sealed record Following(DnsEndPoint Leader, long Term, long Heard)
    {
        /// <summary>A part of the heartbeat, so that the engine hears of the leader as often as its timers ask for.</summary>
        private const int HeartbeatPart = 4;

        public bool Knows(DnsEndPoint leader, long term, RaftNode node) =>
            Term == term && Leader.Equals(leader) && node.Leader is { IsRemote: true } known && known.EndPoint.Equals(leader)
            && node.Time.GetElapsedTime(Heard) < node.Timers.Heartbeat / HeartbeatPart;
    }

    private sealed class Configuration(ClusterTimers timers) : IClusterMemberConfiguration
    {
        public double HeartbeatThreshold => timers.Heartbeat / timers.ElectionLower;

        // The same for all: with one of its own, a node would refuse who asks a moment before its time (see Candidacies).
        public ElectionTimeout ElectionTimeout => new()
        {
            LowerValue = (int)timers.ElectionLower.TotalMilliseconds,
            UpperValue = (int)timers.ElectionLower.TotalMilliseconds,
        };

        public bool Standby => false;

        // Rounds that a member may be behind before the engine counts it as gone. It has one every millisecond under load: its default,
        // 16, is a hiccup, in which the death of another member would end the leadership.
        public int MaxReplicationLag => 1024;

        public bool IsLeaderLeaseEnabled => false;
    }
}
