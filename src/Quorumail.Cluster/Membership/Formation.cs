using System.Net;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Membership;

/// <summary>
/// What a node with an empty disk does before it votes or stands for election: it asks its peers. If one has a log, the
/// cluster takes this disk in as a new one. If all nodes that anybody lists answer and none has a log, the one with the
/// smallest name founds the cluster, once each of the others has promised so, durably and only once ever.
/// </summary>
internal sealed class Formation(ClusterNodeOptions options, ITransport transport, AsyncSignal changed, TimeProvider time, Action<string> waiting)
{
    private static readonly TimeSpan AskPatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    private readonly MemberCalls _calls = new(transport, time);
    private readonly Lock _lock = new();
    private readonly string _path = Path.Combine(options.Directory, "disk");
    private DiskMark? _mark;
    private string _said = string.Empty;

    /// <summary>This disk's mark.</summary>
    public DiskMark Mark
    {
        get
        {
            lock (_lock)
            {
                return _mark ??= DiskMark.ReadOrMake(_path);
            }
        }
    }

    /// <summary>What this node waits for, for the operator; empty if it does not.</summary>
    public string WaitingFor => Volatile.Read(ref _said);

    /// <summary>Answers another node that forms a cluster while this one has no log.</summary>
    public ReadOnlyMemory<byte> Answer(MemberFrame kind, FrameReader frame)
    {
        using FrameWriter answer = new();
        answer.Byte((byte)FrameAnswer.Done);
        switch (kind)
        {
            case MemberFrame.Know:
                answer.Byte(0).Id(Guid.Empty).Text(string.Empty);
                WriteAddresses(answer, options.Peers);
                return answer.ToArray();
            case MemberFrame.Promise:
                (bool isGranted, string promisedTo) = Promise(frame.Text(), frame.Id());
                return answer.Byte((byte)(isGranted ? 1 : 0)).Text(promisedTo).ToArray();
            default:
                return new[] { (byte)FrameAnswer.NotLeader, (byte)0, (byte)0 };
        }
    }

    /// <summary>Writes a list of addresses.</summary>
    public static void WriteAddresses(FrameWriter frame, IReadOnlyCollection<string> addresses)
    {
        frame.Int(addresses.Count);
        foreach (string address in addresses)
        {
            frame.Text(address);
        }
    }

    /// <summary>An address as it is compared: with its port.</summary>
    public static string Normal(string address) =>
        PeerAddress.TryParse(address, out PeerAddress? parsed, out _) ? parsed!.ToString() : address;

    /// <summary>Returns when this disk has an identity; the files of an empty log are written then.</summary>
    public async Task<NodeIdentity> RunAsync(CancellationToken token)
    {
        long start = time.GetTimestamp();
        while (true)
        {
            Task change = changed.Next;
            List<(NodeHello Peer, Knowledge Known)> answers = await AskAllAsync(token);
            if (await TryJoinAsync(answers, token) is { } joined)
            {
                return joined;
            }

            bool isAlone = answers.TrueForAll(a => !a.Known.HasLog);
            if (isAlone && await TryFoundAsync(answers, time.GetElapsedTime(start), token) is { } founded)
            {
                return founded;
            }

            await AsyncSignal.WaitAsync(change, Pause, time, token);
        }
    }

    private async Task<List<(NodeHello Peer, Knowledge Known)>> AskAllAsync(CancellationToken token)
    {
        NodeHello[] peers = [.. transport.Peers];
        Knowledge?[] known = await Task.WhenAll(peers.Select(p => KnowAsync(p, token)));
        return [.. peers.Zip(known).Where(p => p.Second is not null).Select(p => (p.First, p.Second!))];
    }

    private async Task<Knowledge?> KnowAsync(NodeHello peer, CancellationToken token)
    {
        using FrameWriter frame = new();
        frame.Byte((byte)MemberFrame.Know);
        try
        {
            FrameReader answer = new(await _calls.AskAsync(peer.NodeId, FrameType.Member, frame.Body, AskPatience, token));
            if ((FrameAnswer)answer.Byte() != FrameAnswer.Done)
            {
                return null;
            }

            bool hasLog = answer.Byte() != 0;
            _ = answer.Id();
            string leader = answer.Text();
            List<string> addresses = [];
            for (int left = Math.Min(answer.Int(), 1000); left > 0; left--)
            {
                addresses.Add(answer.Text());
            }

            return new Knowledge(hasLog, leader, addresses);
        }
        catch (Exception unanswered) when (unanswered is IOException or InvalidDataException)
        {
            return null;
        }
    }

    private async Task<NodeIdentity?> TryJoinAsync(List<(NodeHello Peer, Knowledge Known)> answers, CancellationToken token)
    {
        // The leader first, as any of them knows it, then everybody who has a log.
        IEnumerable<string> candidates = answers.Select(a => a.Known.Leader).Where(l => l.Length > 0)
            .Concat(answers.Where(a => a.Known.HasLog).Select(a => a.Peer.NodeId)).Distinct(StringComparer.Ordinal);
        string? notYet = null;
        string? refusal = null;
        foreach (string candidate in candidates.ToArray())
        {
            using FrameWriter frame = new();
            frame.Byte((byte)MemberFrame.Join).Text(options.NodeId).Id(Mark.Disk).Text(options.Address);
            try
            {
                FrameReader answer = new(await _calls.AskAsync(candidate, FrameType.Member, frame.Body, AskPatience, token));
                FrameAnswer kind = (FrameAnswer)answer.Byte();
                if (kind == FrameAnswer.Refused)
                {
                    refusal = $"{candidate} does not take this node in: {answer.Text()}";
                }

                if (kind == FrameAnswer.Done)
                {
                    int incarnation = answer.Int();
                    Guid cluster = answer.Id();
                    MemberSet members = MemberSet.Decode(answer.Bytes().Span);
                    MembershipFile.Found(Path.Combine(options.Directory, "members"), members.Members);
                    return new NodeIdentity(options.NodeId, cluster, incarnation, 0);
                }
            }
            catch (Exception unanswered) when (unanswered is IOException or InvalidDataException)
            {
                // The next one, or later.
            }

            notYet ??= $"There is a cluster; its leader ({(candidate.Length > 0 ? candidate : "unknown")}) has not taken this node in yet.";
        }

        // A reason, if one of them gave one: the others only don't lead.
        if ((refusal ?? notYet) is { } said)
        {
            Say(said);
        }

        return null;
    }

    private async Task<NodeIdentity?> TryFoundAsync(List<(NodeHello Peer, Knowledge Known)> answers, TimeSpan waited, CancellationToken token)
    {
        string[] union = [.. options.Peers.Concat(answers.SelectMany(a => a.Known.Addresses)).Select(Normal).Distinct(StringComparer.Ordinal)];
        transport.Dial(union);
        HashSet<string> nodes = new([options.NodeId, .. answers.Select(a => a.Peer.NodeId)], StringComparer.Ordinal);
        Dictionary<string, DialledAddress> dialled = transport.Dialled.DistinctBy(d => Normal(d.Address), StringComparer.Ordinal).ToDictionary(d => Normal(d.Address), StringComparer.Ordinal);
        string[] missing = [.. union.Where(a => !(dialled.GetValueOrDefault(a) is { NodeId: { } there } && nodes.Contains(there)))];
        if (missing.Length > 0 && !(options.Bootstrap && waited > options.Timers.ElectionUpper))
        {
            Say($"Waits for all nodes that are listed before a cluster is founded; not there: {string.Join(", ", missing.Select(m => $"{m} ({dialled.GetValueOrDefault(m)?.Problem ?? "not dialled yet"})"))}. If they will never come: --bootstrap on one node.");
            return null;
        }

        string founder = options.Bootstrap ? options.NodeId : nodes.Min(StringComparer.Ordinal)!;
        if (!string.Equals(founder, options.NodeId, StringComparison.Ordinal))
        {
            Say($"Waits for {founder} to found the cluster.");
            return null;
        }

        foreach ((NodeHello peer, _) in answers)
        {
            string? objection = await PromiseAsync(peer, token);
            if (objection is not null && !options.Bootstrap)
            {
                Say($"Would found the cluster, but {objection}");
                return null;
            }
        }

        (bool isGranted, string promisedTo) = Promise(options.NodeId, Mark.Disk);
        if (!isGranted && !options.Bootstrap)
        {
            Say($"This node has promised that {promisedTo} founds the cluster, with a disk that is not there any more. If that is lost for good: --bootstrap.");
            return null;
        }

        MembershipFile.Found(Path.Combine(options.Directory, "members"), [new DnsEndPoint(options.NodeId, 1)]);
        return new NodeIdentity(options.NodeId, Guid.NewGuid(), 1, 0);
    }

    private async Task<string?> PromiseAsync(NodeHello peer, CancellationToken token)
    {
        using FrameWriter frame = new();
        frame.Byte((byte)MemberFrame.Promise).Text(options.NodeId).Id(Mark.Disk);
        try
        {
            FrameReader answer = new(await _calls.AskAsync(peer.NodeId, FrameType.Member, frame.Body, AskPatience, token));
            return (FrameAnswer)answer.Byte() != FrameAnswer.Done ? $"{peer.NodeId} gives no promise."
                : answer.Byte() != 0 ? null
                : $"{peer.NodeId} has promised that {answer.Text()} does, with a disk that is not this one.";
        }
        catch (Exception unanswered) when (unanswered is IOException or InvalidDataException)
        {
            return $"{peer.NodeId} does not answer.";
        }
    }

    private (bool IsGranted, string PromisedTo) Promise(string founder, Guid disk)
    {
        lock (_lock)
        {
            _mark ??= DiskMark.ReadOrMake(_path);
            if (_mark.PromisedTo.Length == 0)
            {
                DiskMark promised = _mark with { PromisedTo = founder, PromisedDisk = disk };
                promised.Write(_path);
                _mark = promised;
            }

            return (_mark.PromisedDisk == disk && string.Equals(_mark.PromisedTo, founder, StringComparison.Ordinal), _mark.PromisedTo);
        }
    }

    private void Say(string text)
    {
        if (!string.Equals(Interlocked.Exchange(ref _said, text), text, StringComparison.Ordinal))
        {
            waiting(text);
        }
    }

    private sealed record Knowledge(bool HasLog, string Leader, IReadOnlyList<string> Addresses);
}
