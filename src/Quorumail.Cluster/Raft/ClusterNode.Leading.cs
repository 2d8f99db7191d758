using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <content>Reads that see everything before them, handing over leadership, and cluster time.</content>
public sealed partial class ClusterNode
{
    private int _handingOver;

    /// <summary>
    /// Returns when everything that was committed before the call is applied here: a read after it is linearizable. The
    /// leader asks a majority whether it still leads; a follower asks the leader to.
    /// </summary>
    /// <exception cref="InvalidOperationException">No leader, or no majority, for twice the upper election time-out.</exception>
    public async ValueTask ReadBarrierAsync(CancellationToken token)
    {
        RunningLog log = _log ?? throw new InvalidOperationException("The log is not running.");
        long start = _time.GetTimestamp();
        while (true)
        {
            Task change = _changed.Next;
            try
            {
                if (await ConfirmedIndexAsync(log, token) is { } index)
                {
                    await log.WaitForApplyAsync(index, token);
                    return;
                }
            }
            catch (Exception unconfirmed) when (unconfirmed is NotLeaderException or TermPassedException or IOException)
            {
                // Somebody else leads now, or nobody does.
            }

            if (_time.GetElapsedTime(start) > _options.Timers.ElectionUpper * 2 || _failed.Task.IsCompleted)
            {
                throw new InvalidOperationException("There is no leader that a majority follows.");
            }

            await AsyncSignal.WaitAsync(change, _options.Timers.Heartbeat, _time, token);
        }
    }

    /// <summary>Has a leader elected anew; for tests and operators. Returns when there is one of a later term.</summary>
    public async Task StartElectionAsync(CancellationToken token)
    {
        RunningLog log = _log ?? throw new InvalidOperationException("The log is not running.");
        long term = Term;
        Events.Note(ClusterEventKind.Transfer, term, "An election was asked for.");
        if (log.Trail.IsAlone)
        {
            return; // Nobody else can lead.
        }

        if (log.Node.Leads)
        {
            await HandOverAsync(log, null, token);
        }
        else
        {
            await AskLeaderAsync(log, LeadFrame.HandOver, static frame => frame.Text(string.Empty), token);
        }

        await UntilAsync(() => Term > term && LeaderId is not null, token);
    }

    /// <summary>Hands over leadership, from whoever leads; returns when somebody else leads.</summary>
    /// <param name="target">The node that is to lead; null for any. It is not certain that it will be this one.</param>
    /// <param name="token">Ends the waiting.</param>
    /// <exception cref="InvalidOperationException">No follower has caught up, or nobody took over in time: the leader goes on.</exception>
    public async Task TransferAsync(string? target, CancellationToken token)
    {
        RunningLog log = _log ?? throw new InvalidOperationException("The log is not running.");
        if (log.Node.Leads)
        {
            await HandOverAsync(log, target, token);
            return;
        }

        await AskLeaderAsync(log, LeadFrame.HandOver, frame => frame.Text(target ?? string.Empty), token);
    }

    private async Task<long?> ConfirmedIndexAsync(RunningLog log, CancellationToken token)
    {
        if (log.Node.Leads)
        {
            if (Volatile.Read(ref _handingOver) > 0)
            {
                return null;
            }

            await WaitForOwnTermAsync(log, token);
            return await ConfirmAsync(log, token);
        }

        if (log.Node.Leader is not { IsRemote: true } leader)
        {
            return null;
        }

        using FrameWriter frame = new();
        frame.Byte((byte)LeadFrame.Confirm).Int(leader.Incarnation);
        FrameReader answer = new(await log.Node.Calls.AskAsync(leader, FrameType.Lead, frame.Body, _options.Timers.ElectionUpper, token));
        return (FrameAnswer)answer.Byte() == FrameAnswer.Done ? answer.Long() : null;
    }

    // A round of heartbeats that begins after the call, and that a majority answers, proves that nobody else had led when
    // the commit index was taken.
    private static async Task<long> ConfirmAsync(RunningLog log, CancellationToken token)
    {
        long index = log.Trail.CommitIndex;
        if (!log.Trail.IsAlone)
        {
            await log.Node.ConfirmAsync(token);
        }

        return index;
    }

    private async ValueTask<ReadOnlyMemory<byte>> AnswerLeadAsync(RunningLog log, LeadFrame kind, FrameReader frame, CancellationToken token)
    {
        using FrameWriter answer = new();
        answer.Byte((byte)FrameAnswer.Done);
        switch (kind)
        {
            case LeadFrame.Confirm when log.Node.Leads && Volatile.Read(ref _handingOver) == 0:
                try
                {
                    await WaitForOwnTermAsync(log, token);
                    return answer.Long(await ConfirmAsync(log, token)).ToArray();
                }
                catch (Exception over) when (over is NotLeaderException or TermPassedException)
                {
                    return new[] { (byte)FrameAnswer.NotLeader };
                }

            case LeadFrame.HandOver when log.Node.Leads:
                string target = frame.Text();
                try
                {
                    await HandOverAsync(log, target.Length == 0 ? null : target, token);
                    return answer.ToArray();
                }
                catch (InvalidOperationException refused)
                {
                    using FrameWriter refusal = new();
                    return refusal.Byte((byte)FrameAnswer.Refused).Text(refused.Message).ToArray();
                }

            case LeadFrame.Time:
                return answer.Byte((byte)(_clock is { IsWarm: true } ? 1 : 0)).Long(ClusterTime).ToArray();
            case LeadFrame.Applied:
                return answer.Long(log.Membership.Version).Long(AppliedIndex).ToArray();
            case LeadFrame.Refrain:
                _ = RefrainAsync(log);
                return answer.ToArray();
            default:
                return new[] { (byte)FrameAnswer.NotLeader };
        }
    }

    private async Task AskLeaderAsync(RunningLog log, LeadFrame kind, Func<FrameWriter, FrameWriter> fields, CancellationToken token)
    {
        long start = _time.GetTimestamp();
        while (_time.GetElapsedTime(start) < _options.Timers.ElectionUpper * 2)
        {
            Task change = _changed.Next;
            if (log.Node.Leader is { IsRemote: true } leader)
            {
                using FrameWriter frame = new();
                fields(frame.Byte((byte)kind).Int(leader.Incarnation));
                try
                {
                    FrameReader answer = new(await log.Node.Calls.AskAsync(leader, FrameType.Lead, frame.Body, _options.Timers.ElectionUpper * 4, token));
                    switch ((FrameAnswer)answer.Byte())
                    {
                        case FrameAnswer.Done:
                            return;
                        case FrameAnswer.Refused:
                            throw new InvalidOperationException(answer.Text());
                        default:
                            break;
                    }
                }
                catch (MemberUnavailableException)
                {
                    // It, or another one, is asked again.
                }
            }

            await AsyncSignal.WaitAsync(change, _options.Timers.Heartbeat, _time, token);
        }

        throw new InvalidOperationException("There is no leader.");
    }

    // The engine knows no hand-over: the leader falls silent, and a follower that has everything is elected after its time-out.
    private async Task HandOverAsync(RunningLog log, string? target, CancellationToken token)
    {
        if (Interlocked.CompareExchange(ref _handingOver, 1, 0) != 0)
        {
            throw new InvalidOperationException("Leadership is being handed over already.");
        }

        TimeSpan patience = _options.Timers.ElectionUpper * 3;
        try
        {
            long term = Term;
            RaftMember heir = await CaughtUpAsync(log, target, token);
            Events.Note(ClusterEventKind.Transfer, term, $"{NodeId} hands over to {heir.NodeId}.");
            if (target is not null)
            {
                await Task.WhenAll(log.Node.Members.Where(m => m.IsRemote && m != heir).Select(m => TellToRefrainAsync(log, m, token)));
            }

            await log.Node.EnableStandbyModeAsync(token);
            await UntilAsync(() => Term > term && LeaderId is not null && !log.Node.Leads, patience, token);
        }
        finally
        {
            await log.Node.RevertToNormalModeAsync(CancellationToken.None);
            Volatile.Write(ref _handingOver, 0);
            _changed.Set();
        }

        if (log.Node.Leads || LeaderId is null)
        {
            throw new InvalidOperationException($"Nobody took over within {patience.TotalSeconds:F1} s.");
        }
    }

    private async Task<RaftMember> CaughtUpAsync(RunningLog log, string? target, CancellationToken token)
    {
        long start = _time.GetTimestamp();
        while (_time.GetElapsedTime(start) < _options.Timers.ElectionUpper)
        {
            long commit = log.Trail.CommitIndex;
            RaftMember? heir = log.Node.Members
                .Where(m => m.IsRemote && m.IsReachable && m.MatchedIndex >= commit && (target is null || string.Equals(m.NodeId, target, StringComparison.Ordinal)))
                .MaxBy(m => m.MatchedIndex);
            if (heir is not null)
            {
                return heir;
            }

            await Task.Delay(_options.Timers.Heartbeat / 4, _time, token);
        }

        throw new InvalidOperationException(target is null ? "No follower has caught up." : $"{target} has not caught up, or is no member.");
    }

    private async Task TellToRefrainAsync(RunningLog log, RaftMember member, CancellationToken token)
    {
        using FrameWriter frame = new();
        frame.Byte((byte)LeadFrame.Refrain).Int(member.Incarnation);
        try
        {
            await log.Node.Calls.AskAsync(member, FrameType.Lead, frame.Body, _options.Timers.Vote, token);
        }
        catch (MemberUnavailableException)
        {
            // Then it may be elected instead.
        }
    }

    // Votes, but does not stand, until somebody leads or the time for it is over.
    private async Task RefrainAsync(RunningLog log)
    {
        await Task.Yield();
        try
        {
            long term = Term;
            if (!await log.Node.EnableStandbyModeAsync(_stop.Token))
            {
                return;
            }

            try
            {
                await UntilAsync(() => Term > term && LeaderId is not null, _options.Timers.ElectionUpper * 2, _stop.Token);
            }
            finally
            {
                await log.Node.RevertToNormalModeAsync(CancellationToken.None);
            }
        }
        catch (Exception stopped) when (stopped is OperationCanceledException or ObjectDisposedException)
        {
            // The node stops.
        }
    }

    // While a node of the cluster was alive, cluster time went on; wall time counts only if none was.
    private async Task WarmClockAsync(RunningLog log, CancellationToken token)
    {
        if (_clock is not { IsWarm: false } clock)
        {
            return;
        }

        long?[] running = await Task.WhenAll(log.Node.Members.Where(m => m.IsRemote).Select(m => RunningTimeAsync(log, m, token)));
        clock.WarmUp(running.Max() ?? 0);
        _changed.Set();
    }

    private async Task<long?> RunningTimeAsync(RunningLog log, RaftMember member, CancellationToken token)
    {
        using FrameWriter frame = new();
        frame.Byte((byte)LeadFrame.Time).Int(member.Incarnation);
        try
        {
            FrameReader answer = new(await log.Node.Calls.AskAsync(member, FrameType.Lead, frame.Body, _options.Timers.Vote, token));
            return (FrameAnswer)answer.Byte() == FrameAnswer.Done && answer.Byte() != 0 ? answer.Long() : null;
        }
        catch (MemberUnavailableException)
        {
            return null;
        }
    }

    private Task UntilAsync(Func<bool> condition, CancellationToken token) => UntilAsync(condition, TimeSpan.MaxValue, token);

    private async Task UntilAsync(Func<bool> condition, TimeSpan atMost, CancellationToken token)
    {
        long start = _time.GetTimestamp();
        while (!condition() && _time.GetElapsedTime(start) < atMost)
        {
            await AsyncSignal.WaitAsync(_changed.Next, _options.Timers.Heartbeat / 4, _time, token);
        }
    }
}
