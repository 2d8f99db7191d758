using DotNext.Net.Cluster;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>Asks members, by the right incarnation and no longer than a time-out.</summary>
internal sealed class MemberCalls(ITransport? transport, TimeProvider time)
{
    /// <summary>The transport; null for a node that runs alone.</summary>
    public ITransport? Transport => transport;

    /// <summary>Whether an incarnation of a node can be sent to.</summary>
    public bool IsConnected(string nodeId, int incarnation) => transport?.Find(nodeId) is { } peer && peer.Incarnation == incarnation;

    /// <summary>Asks a member and waits for its answer.</summary>
    /// <exception cref="MemberUnavailableException">It can't be reached, or does not answer in time.</exception>
    public async Task<ReadOnlyMemory<byte>> AskAsync(
        RaftMember member, FrameType type, ReadOnlyMemory<byte> body, TimeSpan timeout, CancellationToken token)
    {
        if (transport is null || !member.IsReachable)
        {
            throw new MemberUnavailableException(member);
        }

        try
        {
            return await AskAsync(member.NodeId, type, body, timeout, token);
        }
        catch (IOException unreachable)
        {
            throw new MemberUnavailableException(member, unreachable.Message, unreachable);
        }
    }

    /// <summary>Asks a node and waits for its answer.</summary>
    /// <exception cref="PeerUnavailableException">It can't be reached, or does not answer in time.</exception>
    public async Task<ReadOnlyMemory<byte>> AskAsync(
        string nodeId, FrameType type, ReadOnlyMemory<byte> body, TimeSpan timeout, CancellationToken token)
    {
        if (transport is null)
        {
            throw new PeerUnavailableException("This node runs alone.");
        }

        using CancellationTokenSource late = new(timeout, time);
        using CancellationTokenSource? either = token.CanBeCanceled ? CancellationTokenSource.CreateLinkedTokenSource(late.Token, token) : null;
        try
        {
            // The token, not the waiting, is what ends: the body must not change while the transport may still read it.
            ReadOnlyMemory<byte> answer = await transport.AskAsync(nodeId, type, body, (either ?? late).Token);
            return answer.IsEmpty ? throw new PeerUnavailableException($"{nodeId} gave an empty answer.") : answer;
        }
        catch (OperationCanceledException expired) when (late.IsCancellationRequested && !token.IsCancellationRequested)
        {
            throw new PeerUnavailableException($"{nodeId} did not answer within {timeout.TotalMilliseconds:F0} ms.", expired);
        }
        catch (OperationCanceledException given) when (token.IsCancellationRequested)
        {
            // The engine knows its own cancellation by the token, and takes any other for a fault.
            throw new OperationCanceledException(given.Message, given, token);
        }
    }
}
