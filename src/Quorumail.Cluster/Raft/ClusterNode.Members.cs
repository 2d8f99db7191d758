using System.Net;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Membership;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <content>
/// Who belongs to the cluster. What is decided stands in the log: a disk is admitted, or struck. The leader brings the
/// engine's members in line with that, one at a time, the next only when a majority goes by the last.
/// </content>
public sealed partial class ClusterNode
{
    // Each round of a learner's warm-up is one bounded message; after so many it is somebody else's turn.
    private const int WarmUpRounds = 64;

    private static readonly TimeSpan TendPause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan DecidePatience = TimeSpan.FromSeconds(1.5);

    private readonly Lock _membersLock = new();
    private HashSet<string> _knownMembers = [];
    private HashSet<string> _joined = [];
    private bool _wasMember;
    private bool _isRemoved;

    /// <summary>Those who make the cluster, and those who are catching up before they do.</summary>
    public IReadOnlyList<MemberInfo> Members
    {
        get
        {
            if (_log is not { } log)
            {
                return [];
            }

            Dictionary<int, KnownIncarnation> known = log.States.Cluster.Living.ToDictionary(i => i.Incarnation);
            bool leads = log.Node.Leads;
            List<MemberInfo> members = [];
            foreach (RaftMember member in log.Node.Members)
            {
                long? matched = !leads ? null : member.IsRemote ? member.MatchedIndex : log.Trail.LastEntryIndex;
                members.Add(new MemberInfo(
                    member.NodeId, member.Incarnation, AddressOf(member.NodeId, known.GetValueOrDefault(member.Incarnation)), IsVoter: true, matched));
                known.Remove(member.Incarnation);
            }

            members.AddRange(known.Values.Select(k => new MemberInfo(k.NodeId, k.Incarnation, AddressOf(k.NodeId, k), IsVoter: false, null)));
            return [.. members.OrderBy(m => m.NodeId, StringComparer.Ordinal).ThenBy(m => m.Incarnation)];
        }
    }

    /// <summary>Rises with every change of the members that the engine goes by.</summary>
    public long MembershipVersion => _log?.Membership.Version ?? 0;

    /// <summary>What this node waits for before it has a log, for the operator; empty if it has one.</summary>
    public string WaitingFor => _log is null ? _formation?.WaitingFor ?? string.Empty : string.Empty;

    /// <summary>Dials an address besides those it knows, so that the node there finds the cluster; returns when it is a member.</summary>
    /// <param name="address">host:port.</param>
    /// <param name="token">Ends the waiting.</param>
    public async Task JoinAsync(string address, CancellationToken token)
    {
        ITransport transport = _transport ?? throw new InvalidOperationException("This node runs alone.");
        string wanted = Formation.Normal(address);
        lock (_membersLock)
        {
            _joined = [.. _joined, wanted];
        }

        _changed.Set();
        await UntilAsync(
            () => transport.Dialled.FirstOrDefault(d => string.Equals(Formation.Normal(d.Address), wanted, StringComparison.Ordinal)) is { NodeId: { } there }
                && Members.Any(m => m.IsVoter && string.Equals(m.NodeId, there, StringComparison.Ordinal)),
            token);
    }

    /// <summary>Takes this node out of the cluster; returns when the others go on without it.</summary>
    public async Task LeaveAsync(CancellationToken token)
    {
        await RemoveAsync(NodeId, token);
        Removed();
    }

    /// <summary>Takes a node out of the cluster, whether it runs or not; its disk can't come back, but for being wiped.</summary>
    /// <exception cref="InvalidOperationException">There is no such member, it is the last one, or there is no leader.</exception>
    public async Task RemoveAsync(string nodeId, CancellationToken token)
    {
        RunningLog log = _log ?? throw new InvalidOperationException("The log is not running.");
        long start = _time.GetTimestamp();
        while (_time.GetElapsedTime(start) < _options.Timers.ElectionUpper * 8)
        {
            Task change = _changed.Next;
            if (log.Node.LeadsCommitted)
            {
                if (string.Equals(nodeId, NodeId, StringComparison.Ordinal) && log.Node.Members.Count > 1)
                {
                    await HandOverAsync(log, null, token);
                }
                else if (await RemoveHereAsync(log, nodeId, token))
                {
                    return;
                }
            }
            else if (log.Node.Leader is { IsRemote: true } leader && await RemoveThereAsync(log, leader, nodeId, token))
            {
                return;
            }

            await AsyncSignal.WaitAsync(change, TendPause, _time, token);
        }

        throw new InvalidOperationException($"{nodeId} could not be removed in time.");
    }

    private static string AddressOf(string nodeId, KnownIncarnation? known) => known is { Address.Length: > 0 } ? known.Address : nodeId;

    private static DnsEndPoint EndPointOf(KnownIncarnation known) => new(known.NodeId, known.Incarnation);

    private async ValueTask<ReadOnlyMemory<byte>> AnswerMemberAsync(NodeHello peer, ReadOnlyMemory<byte> body, CancellationToken token)
    {
        FrameReader frame = new(body);
        MemberFrame kind = (MemberFrame)frame.Byte();
        if (_log is not { } log || _traffic.Log is null)
        {
            return _formation is { } formation ? formation.Answer(kind, frame) : new[] { (byte)FrameAnswer.Unavailable };
        }

        using FrameWriter answer = new();
        switch (kind)
        {
            case MemberFrame.Know:
                answer.Byte((byte)FrameAnswer.Done).Byte(1).Id(log.Identity.ClusterId).Text(LeaderId ?? string.Empty);
                Formation.WriteAddresses(answer, _options.Peers);
                return answer.ToArray();
            case MemberFrame.Promise:
                return answer.Byte((byte)FrameAnswer.Done).Byte(0).Text("the cluster that exists").ToArray();
            case MemberFrame.Join when log.Node.LeadsCommitted && log.States.Cluster.Find(Incarnation) is not null:
                return await AdmitAsync(log, peer, frame.Text(), frame.Id(), frame.Text(), token);
            case MemberFrame.Remove when log.Node.LeadsCommitted:
                return await AnswerRemoveAsync(log, frame.Text(), token);
            default:
                return answer.Byte((byte)FrameAnswer.NotLeader).Text(LeaderId ?? string.Empty).ToArray();
        }
    }

    private async ValueTask<ReadOnlyMemory<byte>> AdmitAsync(RunningLog log, NodeHello peer, string nodeId, Guid disk, string address, CancellationToken token)
    {
        using FrameWriter answer = new();
        if (!string.Equals(peer.NodeId, nodeId, StringComparison.Ordinal))
        {
            return answer.Byte((byte)FrameAnswer.Refused).Text("a node asks for itself alone").ToArray();
        }

        // It would find commands in the log that it can't read.
        if (peer.FeatureLevel < log.States.Cluster.FeatureLevel)
        {
            return answer.Byte((byte)FrameAnswer.Refused)
                .Text($"the cluster goes by feature level {log.States.Cluster.FeatureLevel}, and its program knows {peer.FeatureLevel}; start a later version").ToArray();
        }

        ProposalResult result = await DecideAsync(ClusterCommand.Admit(nodeId, address, disk), token);
        if (result.Outcome != ProposalOutcome.Applied)
        {
            return answer.Byte((byte)FrameAnswer.NotLeader).Text(LeaderId ?? string.Empty).ToArray();
        }

        if (result.Value.Length != sizeof(int))
        {
            return answer.Byte((byte)FrameAnswer.Refused).Text("its disk was removed from the cluster, or all numbers are given; empty its data directory").ToArray();
        }

        int incarnation = BitConverter.ToInt32(result.Value.Span);
        Events.Note(ClusterEventKind.Admitted, Term, $"{nodeId} has a new disk; it is incarnation {incarnation}.");
        new MemberSet(log.Membership.Members).TryGetMemory(out ReadOnlyMemory<byte> members);
        return answer.Byte((byte)FrameAnswer.Done).Int(incarnation).Id(log.Identity.ClusterId).Bytes(members.Span).ToArray();
    }

    private async ValueTask<ReadOnlyMemory<byte>> AnswerRemoveAsync(RunningLog log, string nodeId, CancellationToken token)
    {
        using FrameWriter answer = new();
        try
        {
            return await RemoveHereAsync(log, nodeId, token)
                ? answer.Byte((byte)FrameAnswer.Done).ToArray()
                : answer.Byte((byte)FrameAnswer.NotLeader).Text(LeaderId ?? string.Empty).ToArray();
        }
        catch (InvalidOperationException refused)
        {
            return answer.Byte((byte)FrameAnswer.Refused).Text(refused.Message).ToArray();
        }
    }

    private async Task<bool> RemoveThereAsync(RunningLog log, RaftMember leader, string nodeId, CancellationToken token)
    {
        using FrameWriter frame = new();
        frame.Byte((byte)MemberFrame.Remove).Text(nodeId);
        try
        {
            FrameReader answer = new(await log.Node.Calls.AskAsync(leader, FrameType.Member, frame.Body, _options.Timers.ElectionUpper * 4, token));
            return (FrameAnswer)answer.Byte() switch
            {
                FrameAnswer.Done => true,
                FrameAnswer.Refused => throw new InvalidOperationException(answer.Text()),
                _ => false,
            };
        }
        catch (MemberUnavailableException)
        {
            return false;
        }
    }

    // False if this node leads no more; then the next leader is asked.
    private async Task<bool> RemoveHereAsync(RunningLog log, string nodeId, CancellationToken token)
    {
        int[] incarnations = [.. log.Node.Members.Where(m => Names(m.NodeId)).Select(m => m.Incarnation)
            .Concat(log.States.Cluster.Living.Where(i => Names(i.NodeId)).Select(i => i.Incarnation)).Distinct()];
        if (incarnations.Length == 0)
        {
            throw new InvalidOperationException($"{nodeId} is no member.");
        }

        if (Names(NodeId) && log.Node.Members.Count == 1)
        {
            throw new InvalidOperationException($"{nodeId} is the last member.");
        }

        foreach (int incarnation in incarnations)
        {
            ProposalResult result = await DecideAsync(ClusterCommand.Strike(incarnation), token);
            if (result.Outcome != ProposalOutcome.Applied)
            {
                return false;
            }
        }

        _changed.Set();
        await UntilAsync(() => !log.Node.Leads || !log.Node.Members.Any(m => Names(m.NodeId)), _options.Timers.ElectionUpper * 4, token);
        return !log.Node.Members.Any(m => Names(m.NodeId));

        bool Names(string name) => string.Equals(name, nodeId, StringComparison.Ordinal);
    }

    private async Task<ProposalResult> DecideAsync(byte[] command, CancellationToken token)
    {
        using CancellationTokenSource late = new(DecidePatience, _time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
        return await ProposeAsync(CommandTarget.Cluster, command, either.Token);
    }

    // The leader's work, until it leads no more.
    private async Task TendAsync(RunningLog log, CancellationToken token)
    {
        string obstacle = string.Empty;
        while (log.Node.Leads)
        {
            Task change = _changed.Next;
            try
            {
                await TendMembersAsync(log, token);
                await TendFactsAsync(log, token);
            }
            catch (Exception later) when (later is RaftProtocolException or MemberUnavailableException or TermPassedException or InvalidOperationException)
            {
                // Looked at again; the operator may see what stands in the way.
                if (!string.Equals(obstacle, later.Message, StringComparison.Ordinal))
                {
                    obstacle = later.Message;
                    Events.Note(ClusterEventKind.Warning, Term, $"A change of members waits: {obstacle}");
                }
            }

            await AsyncSignal.WaitAsync(change, TendPause, _time, token);
        }
    }

    private async Task TendMembersAsync(RunningLog log, CancellationToken token)
    {
        ClusterState state = log.States.Cluster;
        foreach (RaftMember founder in log.Node.Members.Where(m => state.Find(m.Incarnation) is null).ToArray())
        {
            string address = founder.IsRemote ? string.Empty : _options.Address;
            await DecideAsync(ClusterCommand.Admit(founder.NodeId, address, Guid.Empty, founder.Incarnation), token);
        }

        foreach (RaftMember struck in log.Node.Members.Where(m => state.Find(m.Incarnation) is { IsStruck: true }).ToArray())
        {
            if (!struck.IsRemote)
            {
                await HandOverAsync(log, null, token);
            }
            else if (await MajorityFollowsAsync(log, token))
            {
                await log.Node.RemoveAsync((DnsEndPoint)struck.EndPoint, token);
                return;
            }
        }

        int[] members = [.. log.Node.Members.Select(m => m.Incarnation)];
        foreach (KnownIncarnation learner in state.Living.Where(i => !members.Contains(i.Incarnation)))
        {
            KnownIncarnation? older = state.Living.FirstOrDefault(
                i => i.Incarnation < learner.Incarnation && string.Equals(i.NodeId, learner.NodeId, StringComparison.Ordinal));
            if (older is not null)
            {
                await DecideAsync(ClusterCommand.Strike(older.Incarnation), token);
                _changed.Set();
                return;
            }

            if (log.Node.Calls.IsConnected(learner.NodeId, learner.Incarnation) && await MajorityFollowsAsync(log, token))
            {
                bool isAdded = await log.Node.TryAddAsync(EndPointOf(learner), WarmUpRounds, token);
                if (isAdded)
                {
                    await UntilAsync(() => log.Node.Members.Any(m => m.Incarnation == learner.Incarnation), _options.Timers.ElectionUpper, token);
                    _changed.Set();
                    return;
                }
            }
        }
    }

    // The engine goes by new members when it has applied them, so a change must not begin before a majority goes by the last.
    private async Task<bool> MajorityFollowsAsync(RunningLog log, CancellationToken token)
    {
        long version = log.Membership.Version;
        bool[] follow = await Task.WhenAll(log.Node.Members.Select(m => FollowsAsync(log, m, version, token)));
        return follow.Count(f => f) > follow.Length / 2;
    }

    private async Task<bool> FollowsAsync(RunningLog log, RaftMember member, long version, CancellationToken token)
    {
        if (!member.IsRemote)
        {
            return true;
        }

        using FrameWriter frame = new();
        frame.Byte((byte)LeadFrame.Applied).Int(member.Incarnation);
        try
        {
            FrameReader answer = new(await log.Node.Calls.AskAsync(member, FrameType.Lead, frame.Body, _options.Timers.Append, token));
            return (FrameAnswer)answer.Byte() == FrameAnswer.Done && answer.Long() >= version;
        }
        catch (MemberUnavailableException)
        {
            return false;
        }
    }

    private async Task TendFactsAsync(RunningLog log, CancellationToken token)
    {
        ClusterState state = log.States.Cluster;
        Dictionary<int, NodeHello> peers = (_transport?.Peers ?? []).Where(p => p.Incarnation > 0).DistinctBy(p => p.Incarnation).ToDictionary(p => p.Incarnation);
        foreach (KnownIncarnation known in state.Living)
        {
            string address = known.Incarnation == Incarnation ? _options.Address : peers.GetValueOrDefault(known.Incarnation)?.Address ?? string.Empty;
            if (address.Length > 0 && !string.Equals(address, known.Address, StringComparison.Ordinal))
            {
                await DecideAsync(ClusterCommand.Locate(known.Incarnation, address), token);
            }
        }

        int level = _options.FeatureLevel;
        foreach (RaftMember member in log.Node.Members.Where(m => m.IsRemote))
        {
            level = Math.Min(level, peers.GetValueOrDefault(member.Incarnation)?.FeatureLevel ?? 0);
        }

        if (level > state.FeatureLevel)
        {
            await DecideAsync(ClusterCommand.RaiseFeatureLevel(level), token);
            Events.Note(ClusterEventKind.FeatureLevel, Term, $"All members know feature level {level}.");
        }
    }

    // Every node dials what it was told and what the log says.
    private async Task KeepAsync(RunningLog log, ITransport transport)
    {
        HashSet<string> dialled = [];
        while (!_stop.IsCancellationRequested)
        {
            Task change = _changed.Next;
            HashSet<string> wanted;
            lock (_membersLock)
            {
                wanted = [.. _options.Peers.Concat(_joined)
                    .Concat(log.States.Cluster.Living.Where(i => i.Incarnation != Incarnation).Select(i => i.Address))
                    .Where(a => a.Length > 0).Select(Formation.Normal)];
            }

            if (!wanted.SetEquals(dialled))
            {
                dialled = wanted;
                transport.Dial(wanted);
            }

            WarmByLog(log);
            if (log.States.Cluster.Find(Incarnation) is { IsStruck: true } && !log.Node.Leads)
            {
                Removed();
            }

            try
            {
                await AsyncSignal.WaitAsync(change, TendPause, _time, _stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    // A stamped entry that came after this node's start was written by a leader whose clock runs.
    private void WarmByLog(RunningLog log)
    {
        if (_clock is { IsWarm: false } clock && !log.Node.Leads && log.Applier.StampedIndex > _startedAt)
        {
            clock.WarmUp(clock.Now);
        }
    }

    private void MembersChanged(RunningLog log)
    {
        HashSet<string> now = [.. log.Node.Members.Select(m => $"{m.NodeId} (incarnation {m.Incarnation})")];
        bool isMember = log.Membership.Members.Contains(log.Node.Self); // By what is applied: what is only in the log may still be undone.
        lock (_membersLock)
        {
            foreach (string added in now.Except(_knownMembers, StringComparer.Ordinal))
            {
                Events.Note(ClusterEventKind.MemberAdded, Term, $"{added} is a member.");
            }

            foreach (string removed in _knownMembers.Except(now, StringComparer.Ordinal))
            {
                Events.Note(ClusterEventKind.MemberRemoved, Term, $"{removed} is a member no more.");
            }

            if (now.Count % 2 == 0 && now.Count > 0 && !now.SetEquals(_knownMembers))
            {
                Events.Note(ClusterEventKind.Warning, Term, now.Count == 2
                    ? "Two members: if either is lost, the cluster stops. Three survive the loss of one."
                    : $"{now.Count} members survive the loss of {(now.Count / 2) - 1}, no more than {now.Count - 1} would. An odd number is better.");
            }

            _knownMembers = now;
        }

        if (_wasMember && !isMember)
        {
            Removed();
        }

        _wasMember = isMember;
        _changed.Set();
    }

    private void Removed()
    {
        if (!Interlocked.Exchange(ref _isRemoved, true))
        {
            _queue.Close("This node was removed from the cluster.");
            Events.Note(ClusterEventKind.Warning, Term, "This node was removed from the cluster. Its data directory has to be emptied before it can join again.");
        }
    }
}
