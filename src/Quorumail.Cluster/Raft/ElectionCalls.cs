using System.Buffers;
using System.Collections.Concurrent;
using DotNext.Net.Cluster;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// Asks members for votes by the guide's frames 3 and 4: two messages, matched by a number. Asking takes at most
/// <see cref="ClusterTimers.Vote"/>, and no longer than the outcome is open.
/// </summary>
internal sealed class ElectionCalls(
    string nodeId, int incarnation, ITransport? transport, Candidacies candidacies, ClusterTimers timers, TimeProvider time)
{
    private readonly ConcurrentDictionary<long, (RaftMember Member, TaskCompletionSource<Vote> Answer)> _open = new();
    private readonly Lock _lock = new();
    private ElectionRound? _round;
    private long _request = time.GetTimestamp();

    /// <summary>When this node stands, and whom it supports.</summary>
    public Candidacies Candidacies => candidacies;

    /// <summary>The candidate's own vote; false if it does not stand after all.</summary>
    public async Task<bool> AnswerSelfAsync(long term, long lastIndex, long lastTerm, bool isPreVote, int members, CancellationToken token)
    {
        ElectionRound round = RoundOf(term, lastIndex, lastTerm, isPreVote, members, out TaskCompletionSource<bool> question);
        bool stands = await round.Stands.WaitAsync(token);
        round.Answered(question, stands);
        return stands;
    }

    /// <summary>Asks a member; the vote's term is the member's.</summary>
    /// <exception cref="MemberUnavailableException">It can't be reached, does not answer in time, or its answer does not matter any more.</exception>
    public async Task<Vote> AskAsync(
        RaftMember member, long term, long lastIndex, long lastTerm, bool isPreVote, int members, CancellationToken token)
    {
        ElectionRound round = RoundOf(term, lastIndex, lastTerm, isPreVote, members, out TaskCompletionSource<bool> question);
        await Task.Yield(); // The engine asks one member after the other.
        long request = Interlocked.Increment(ref _request);
        TaskCompletionSource<Vote> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _open[request] = (member, answer);
        bool isGranted = false;
        try
        {
            Election election = new(
                nodeId, term, time.GetUtcNow().ToUnixTimeSeconds(), lastIndex, lastTerm, isPreVote, incarnation, request);
            ArrayBufferWriter<byte> body = new();
            election.Write(body);
            if (!await round.Stands.WaitAsync(token) || !member.IsReachable || transport?.TrySend(member.NodeId, FrameType.Election, body.WrittenMemory) != true)
            {
                throw new MemberUnavailableException(member);
            }

            Task first = await Task.WhenAny(answer.Task, question.Task).WaitAsync(timers.Vote, time, token);
            if (first != answer.Task)
            {
                throw new MemberUnavailableException(member);
            }

            Vote vote = await answer.Task;
            isGranted = vote.IsGranted;
            return vote;
        }
        catch (TimeoutException late)
        {
            throw new MemberUnavailableException(member, "It did not answer in time.", late);
        }
        finally
        {
            _open.TryRemove(request, out _);
            round.Answered(question, isGranted);
        }
    }

    /// <summary>An answer has come.</summary>
    public void Received(NodeHello peer, Vote vote)
    {
        if (_open.TryGetValue(vote.Request, out (RaftMember Member, TaskCompletionSource<Vote> Answer) open)
            && open.Member.Incarnation == peer.Incarnation && string.Equals(open.Member.NodeId, peer.NodeId, StringComparison.Ordinal))
        {
            open.Answer.TrySetResult(vote);
        }
    }

    private ElectionRound RoundOf(long term, long lastIndex, long lastTerm, bool isPreVote, int members, out TaskCompletionSource<bool> question)
    {
        lock (_lock)
        {
            if (_round is null || !_round.Takes(term, isPreVote))
            {
                _round = new ElectionRound(term, isPreVote, members, isPreVote ? candidacies.StandAsync(lastTerm, lastIndex) : Task.FromResult(true));
            }

            question = _round.Ask();
            return _round;
        }
    }
}
