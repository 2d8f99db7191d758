using System.Buffers;
using System.Net;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// What comes in over port 9000, taken apart and given to whom it concerns. Frames that are not the log's go on to the
/// next handler, as does word of who is connected.
/// </summary>
internal sealed class NodeTraffic(string nodeId, ITransportHandler? next) : ITransportHandler
{
    private static readonly ReadOnlyMemory<byte> Unavailable = new[] { (byte)FrameAnswer.Unavailable };

    private RunningLog? _log;

    /// <summary>The log, once it runs.</summary>
    public RunningLog? Log
    {
        get => Volatile.Read(ref _log);
        set => Volatile.Write(ref _log, value);
    }

    /// <summary>Answers questions of formation and membership.</summary>
    public Func<NodeHello, ReadOnlyMemory<byte>, CancellationToken, ValueTask<ReadOnlyMemory<byte>>>? Membership { get; set; }

    /// <summary>Told of each node that can be sent to, or can't any more.</summary>
    public Action<NodeHello>? PeerChanged { get; set; }

    /// <summary>Told who says that it leads.</summary>
    public Action<NodeHello, LeaderAnnounce>? Announced { get; set; }

    public void Connected(NodeHello peer)
    {
        next?.Connected(peer);
        PeerChanged?.Invoke(peer);
    }

    public string? Refusal(NodeHello peer) =>
        Log?.States.Cluster.Find(peer.Incarnation) is { IsStruck: true }
            ? $"incarnation {peer.Incarnation} of {peer.NodeId} was removed from the cluster; empty its data directory to let it join anew"
            : next?.Refusal(peer);

    public void Disconnected(NodeHello peer, bool isRefused)
    {
        next?.Disconnected(peer, isRefused);
        PeerChanged?.Invoke(peer);
    }

    public void Received(NodeHello peer, FrameType type, ReadOnlyMemory<byte> body)
    {
        switch (type)
        {
            case FrameType.Election:
                if (Election.Read(body.Span) is { } election && Log is { } log && Concerns(log, peer))
                {
                    _ = VoteAsync(log, peer, election);
                }

                break;
            case FrameType.Vote:
                if (Vote.Read(body.Span) is { } vote)
                {
                    Log?.Node.Elections.Received(peer, vote);
                }

                break;
            case FrameType.LeaderAnnounce:
                if (LeaderAnnounce.Read(body.Span) is { } announce)
                {
                    Announced?.Invoke(peer, announce);
                }

                next?.Received(peer, type, body);
                break;
            default:
                next?.Received(peer, type, body);
                break;
        }
    }

    public async ValueTask<ReadOnlyMemory<byte>> AnswerAsync(NodeHello peer, FrameType type, ReadOnlyMemory<byte> body, CancellationToken token)
    {
        try
        {
            switch (type)
            {
                case FrameType.Append when Log is { } log && Concerns(log, peer):
                    AppendFrame append = AppendFrame.Read(body);
                    return append.ToIncarnation == log.Node.Self.Port
                        ? await log.Node.AnswerAppendAsync(EndPointOf(peer), append, token)
                        : Unavailable;
                case FrameType.Snapshot when Log is { } log && Concerns(log, peer):
                    return await AnswerSnapshotAsync(log, peer, new FrameReader(body), token);
                case FrameType.Propose when Log is { } log && Concerns(log, peer):
                    return await log.AnswerProposalAsync(new FrameReader(body));
                case FrameType.Lead when Log is { } log && Concerns(log, peer):
                    return await log.AnswerLeadAsync(new FrameReader(body), token);
                case FrameType.Member when Membership is { } membership:
                    return await membership(peer, body, token);
                case FrameType.Append or FrameType.Snapshot or FrameType.Propose or FrameType.Lead or FrameType.Member:
                    return Unavailable;
                default:
                    return next is null ? Unavailable : await next.AnswerAsync(peer, type, body, token);
            }
        }
        catch (Exception refused) when (refused is InvalidDataException or LogFormatException or OperationCanceledException or ObjectDisposedException or IOException)
        {
            // The asker counts this node as unavailable; if its frame was malformed, that is all that it gets.
            return Unavailable;
        }
    }

    private static DnsEndPoint EndPointOf(NodeHello peer) => new(peer.NodeId, peer.Incarnation);

    // A peer without an incarnation, or of another cluster, has no part in this log.
    private static bool Concerns(RunningLog log, NodeHello peer) => peer.Incarnation > 0 && peer.ClusterId == log.Identity.ClusterId;

    private static async ValueTask<ReadOnlyMemory<byte>> AnswerSnapshotAsync(RunningLog log, NodeHello peer, FrameReader frame, CancellationToken token)
    {
        SnapshotFrame kind = (SnapshotFrame)frame.Byte();
        return frame.Int() == log.Node.Self.Port
            ? await log.Intake.AnswerAsync(EndPointOf(peer), kind, frame, token)
            : Unavailable;
    }

    private async Task VoteAsync(RunningLog log, NodeHello peer, Election election)
    {
        await Task.Yield();
        try
        {
            (long term, bool isGranted) = await log.Node.AnswerElectionAsync(
                EndPointOf(peer), election.Term, election.LastLogIndex, election.LastLogTerm, election.IsPreVote, CancellationToken.None);
            Vote vote = new(nodeId, election.CandidateId, isGranted, term, election.Request, log.Node.Self.Port);
            ArrayBufferWriter<byte> body = new();
            vote.Write(body);
            log.Node.Calls.Transport?.TrySend(peer.NodeId, FrameType.Vote, body.WrittenMemory);
        }
        catch (Exception stopped) when (stopped is OperationCanceledException or ObjectDisposedException or IOException)
        {
            // No vote is a vote, too.
        }
    }
}
