using System.Net;
using DotNext.IO;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Cluster.Journal;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>A member as the engine knows it: this node, or one that is reached by frames.</summary>
internal sealed class RaftMember(DnsEndPoint endPoint, RaftNode node, bool isLearner = false) : IRaftClusterMember, IDisposable
{
    // Entries that the memory still holds.
    private const int LittleBehind = 16;

    private readonly CancellationTokenSource _gone = new();
    private IRaftClusterMember.ReplicationState _state;
    private SnapshotTransfer? _transfer;
    private Answered? _answered;
    private Ahead? _ahead;
    private int _asking;

    event Action<ClusterMemberStatusChangedEventArgs> IClusterMember.MemberStatusChanged
    {
        add { }
        remove { }
    }

    /// <summary>Logical: the node's name and the incarnation of its disk. Where it is dialled is the transport's business.</summary>
    public EndPoint EndPoint => endPoint;

    public string NodeId => endPoint.Host;

    public int Incarnation => endPoint.Port;

    public bool IsLeader => ReferenceEquals(node.Leader, this);

    public bool IsRemote => !endPoint.Equals(node.Self);

    public ClusterMemberStatus Status => IsReachable ? ClusterMemberStatus.Available : ClusterMemberStatus.Unavailable;

    /// <summary>Whether the right incarnation of it is connected.</summary>
    public bool IsReachable => !IsRemote || node.Calls.IsConnected(NodeId, Incarnation);

    /// <summary>Index up to which its log is the leader's, as far as this leader knows.</summary>
    public long MatchedIndex { get; private set; }

    /// <summary>When it answered last (timestamp of the clock); 0 if never.</summary>
    public long LastContact { get; private set; }

    ref IRaftClusterMember.ReplicationState IRaftClusterMember.State => ref _state;

    public ValueTask<IReadOnlyDictionary<string, string>> GetMetadataAsync(bool refresh = false, CancellationToken token = default) =>
        ValueTask.FromResult<IReadOnlyDictionary<string, string>>(new Dictionary<string, string>(StringComparer.Ordinal));

    public Task<bool> ResignAsync(CancellationToken token) => IsRemote ? Task.FromResult(false) : node.ResignHereAsync(token);

    public void Dispose()
    {
        _gone.Cancel();
        _transfer?.Dispose();
    }

    /// <summary>Forgets what an earlier leadership knew of it.</summary>
    public void Reset()
    {
        MatchedIndex = 0;
        _answered = null;
        Volatile.Write(ref _ahead, null);
        _transfer?.Dispose();
        _transfer = null;
    }

    /// <summary>
    /// Sends an entry that has just been put at the end of this leader's log, if the member has everything before it and nothing is on its way
    /// there. The engine asks for the same later, and finds it under way or answered.
    /// </summary>
    /// <returns>Whether it was sent; then <paramref name="round"/> is told of the answer.</returns>
    public bool SendAhead(JournalEntry entry, long previousTerm, long commitIndex, AheadRound round)
    {
        if (Volatile.Read(ref _asking) != 0 || MatchedIndex != entry.Index - 1)
        {
            return false;
        }

        long began = node.Time.GetTimestamp();
        Task<Result<ReplicationStatus>?> answer = AnswerAsync(entry, previousTerm, commitIndex);
        Volatile.Write(ref _ahead, new Ahead(entry.Term, entry.Index, commitIndex, began, answer));
        _ = TellAsync(answer, round);
        return true;
    }

    async Task<Result<bool>> IRaftClusterMember.VoteAsync(long term, long lastLogIndex, long lastLogTerm, CancellationToken token)
    {
        if (!IsRemote)
        {
            return new Result<bool> { Term = term, Value = await node.VotingBeginsAsync(term, lastLogIndex, lastLogTerm, isPreVote: false, token) };
        }

        Vote vote = await node.Elections.AskAsync(this, term, lastLogIndex, lastLogTerm, isPreVote: false, node.Members.Count, token);
        return new Result<bool> { Term = vote.Term, Value = vote.IsGranted };
    }

    async Task<Result<PreVoteResult>> IRaftClusterMember.PreVoteAsync(long term, long lastLogIndex, long lastLogTerm, CancellationToken token)
    {
        if (!IsRemote)
        {
            bool stands = await node.VotingBeginsAsync(term + 1, lastLogIndex, lastLogTerm, isPreVote: true, token);
            return new Result<PreVoteResult> { Term = term, Value = stands ? PreVoteResult.Accepted : PreVoteResult.RejectedByFollower };
        }

        Vote vote = await node.Elections.AskAsync(this, term + 1, lastLogIndex, lastLogTerm, isPreVote: true, node.Members.Count, token);
        return new Result<PreVoteResult>
        {
            Term = vote.Term,
            Value = vote.IsGranted ? PreVoteResult.Accepted : PreVoteResult.RejectedByFollower,
        };
    }

    async Task<Result<ReplicationStatus>> IRaftClusterMember.AppendEntriesAsync<TEntry, TList>(
        long term, TList entries, long prevLogIndex, long prevLogTerm, long commitIndex, CancellationToken token)
    {
        IReadOnlyList<JournalEntry> content = entries is BoundedEntries bounded ? bounded.Entries : [];
        if (content.Count != entries.Count)
        {
            throw new NotSupportedException("Entries that are not the journal's can't be sent.");
        }

        if (content.Count == 0 && IsReachable && _answered is { } answered && answered.StandsFor(term, prevLogIndex, commitIndex, node))
        {
            // The engine asks once a round, and counts a member as gone that is some rounds behind: with another one gone, it would give up its
            // leadership. So a member catches up with the rounds that had nothing for it without being asked anew for each.
            return answered.Result;
        }

        long began = node.Time.GetTimestamp();
        _answered = null;
        Result<ReplicationStatus> result;
        if (content.Count == 1 && Volatile.Read(ref _ahead) is { } ahead && ahead.IsFor(term, prevLogIndex + 1, node))
        {
            Volatile.Write(ref _ahead, null);
            (began, commitIndex) = (ahead.Began, ahead.CommitIndex);
            result = await ahead.Answer.WaitAsync(token) ?? throw new MemberUnavailableException(this);
        }
        else
        {
            result = await AppendAsync(term, content, prevLogIndex, prevLogTerm, commitIndex, token);
        }

        if (result.Value.Result == HeartbeatResult.Rejected && result.Value.LastIndex < prevLogIndex
            && node.Trail.ReadAll(result.Value.LastIndex, prevLogIndex + content.Count) is { } missing)
        {
            // It lacks what is before: that and the rest at once. The engine would ask again only when every member has
            // answered or timed out, and a new leader begins so with each of them: one that is silent must not hold up it all.
            result = await AppendAsync(term, missing.Entries, result.Value.LastIndex, missing.PreviousTerm, commitIndex, token);
        }

        if (result.Value.Result is HeartbeatResult.Replicated or HeartbeatResult.ReplicatedWithLeaderTerm)
        {
            MatchedIndex = Math.Max(MatchedIndex, prevLogIndex + content.Count);
        }

        if (node.Trail.LastEntryIndex - MatchedIndex > LittleBehind)
        {
            await Task.Yield(); // What comes next may have to be read from the disk, and this thread is the connections'.
        }

        if (entries is BoundedEntries { IsComplete: false } || result.Value.Result == HeartbeatResult.Rejected)
        {
            // The engine takes the median of what the first members to answer hold as committed. That is right only if each
            // of them holds all that was asked for, so one that does not counts as alive and no more.
            node.MemberLags(term);
            if (result.Value.Result == HeartbeatResult.ReplicatedWithLeaderTerm)
            {
                result = result with { Value = result.Value with { Result = HeartbeatResult.Replicated } };
            }
        }
        else if (result.Value.Result is HeartbeatResult.Replicated or HeartbeatResult.ReplicatedWithLeaderTerm)
        {
            _answered = new Answered(term, prevLogIndex + content.Count, commitIndex, began, result);
        }

        return result;
    }

    async Task<Result<HeartbeatResult>> IRaftClusterMember.InstallSnapshotAsync(
        long term, IRaftLogEntry snapshot, long snapshotIndex, IDataTransferObject configuration, long configurationVersion, CancellationToken token)
    {
        if (_transfer is null || _transfer.IsOver(snapshotIndex, term))
        {
            int givenUp = _transfer is { IsGivenUp: true } ? _transfer.Earlier + 1 : 0;
            _transfer?.Dispose();
            configuration.TryGetMemory(out ReadOnlyMemory<byte> members);
            _transfer = new SnapshotTransfer(
                this, node, (SnapshotEntry)snapshot, term, members, configurationVersion, givenUp, _gone.Token);
        }

        bool isPausing = _transfer.IsPausing;
        if (isLearner && !isPausing)
        {
            await _transfer.Completed.WaitAsync(token);
        }

        if (_transfer.Completed.IsCompleted && !isPausing)
        {
            bool isInstalled = await _transfer.Completed;
            MatchedIndex = isInstalled ? Math.Max(MatchedIndex, snapshotIndex) : MatchedIndex;
            node.MemberLags(term);
            return new Result<HeartbeatResult> { Term = 0, Value = isInstalled ? HeartbeatResult.Replicated : HeartbeatResult.Rejected };
        }

        // The transfer takes its time beside this, and so does the pause after one; meanwhile the member is told who leads, and counts as alive.
        Result<ReplicationStatus> contact = await AppendAsync(term, [], snapshotIndex, snapshot.Term, 0, token);
        return new Result<HeartbeatResult> { Term = contact.Term, Value = HeartbeatResult.Rejected };
    }

    async Task<long?> IRaftClusterMember.SynchronizeAsync(long commitIndex, CancellationToken token)
    {
        await Task.Yield();
        throw new NotSupportedException("The engine's barrier does not ask whether the leader still leads; reads have one of our own.");
    }

    /// <summary>The engine calls it when a leadership ends, before anything else tells of that.</summary>
    ValueTask IRaftClusterMember.CancelPendingRequestsAsync()
    {
        _transfer?.Dispose();
        if (!IsRemote)
        {
            node.LeadershipEnds();
        }

        return ValueTask.CompletedTask;
    }

    private static async Task TellAsync(Task<Result<ReplicationStatus>?> answer, AheadRound round) =>
        round.Answered(await answer is { Value.Result: HeartbeatResult.ReplicatedWithLeaderTerm });

    private async Task<Result<ReplicationStatus>?> AnswerAsync(JournalEntry entry, long previousTerm, long commitIndex)
    {
        try
        {
            return await AppendAsync(entry.Term, [entry], entry.Index - 1, previousTerm, commitIndex, CancellationToken.None);
        }
        catch (Exception)
        {
            return null; // The engine is told when it asks.
        }
    }

    private async Task<Result<ReplicationStatus>> AppendAsync(
        long term, IReadOnlyList<JournalEntry> entries, long previousIndex, long previousTerm, long commitIndex, CancellationToken token)
    {
        Interlocked.Increment(ref _asking);
        try
        {
            return await AskAsync(term, entries, previousIndex, previousTerm, commitIndex, token);
        }
        finally
        {
            Interlocked.Decrement(ref _asking);
        }
    }

    private async Task<Result<ReplicationStatus>> AskAsync(
        long term, IReadOnlyList<JournalEntry> entries, long previousIndex, long previousTerm, long commitIndex, CancellationToken token)
    {
        using FrameWriter frame = AppendFrame.Write(Incarnation, term, entries, previousIndex, previousTerm, commitIndex);
        ReadOnlyMemory<byte> body = await node.Calls.AskAsync(this, FrameType.Append, frame.Body, node.Timers.Append, token);
        FrameReader answer = new(body);
        FrameAnswer kind = (FrameAnswer)answer.Byte();
        if (kind == FrameAnswer.Installing)
        {
            LastContact = node.Time.GetTimestamp();
            return new Result<ReplicationStatus>
            {
                Term = answer.Long(),
                Value = new ReplicationStatus { Result = HeartbeatResult.Rejected, LastIndex = previousIndex },
            };
        }

        if (kind != FrameAnswer.Done)
        {
            throw new MemberUnavailableException(this, $"It answered {kind}.");
        }

        LastContact = node.Time.GetTimestamp();
        return new Result<ReplicationStatus>
        {
            Term = answer.Long(),
            Value = new ReplicationStatus { Result = (HeartbeatResult)answer.Byte(), LastIndex = answer.Long() },
        };
    }

    /// <summary>An entry that is on its way to the member before the engine has asked for that; the answer is null if there was none.</summary>
    private sealed record Ahead(long Term, long Index, long CommitIndex, long Began, Task<Result<ReplicationStatus>?> Answer)
    {
        /// <summary>Whether it is what the engine asks for, and its answer tells whether this node leads still, should somebody wait to know.</summary>
        public bool IsFor(long term, long index, RaftNode node) => Term == term && Index == index && Began > node.ConfirmedAfter;
    }

    /// <summary>The latest answer to an append that told the member all that there was.</summary>
    private sealed record Answered(long Term, long Index, long CommitIndex, long Began, Result<ReplicationStatus> Result)
    {
        /// <summary>A part of the heartbeat, so that the member is heard of, and hears of the leader, as often as the timers ask for.</summary>
        private const int HeartbeatPart = 4;

        /// <summary>Whether the member would say the same again to an append that has nothing new, and was asked since it last mattered.</summary>
        public bool StandsFor(long term, long index, long commitIndex, RaftNode node) =>
            Term == term && Index == index && CommitIndex == commitIndex
            && Began > node.ConfirmedAfter && node.Time.GetElapsedTime(Began) < node.Timers.Heartbeat / HeartbeatPart;
    }
}
