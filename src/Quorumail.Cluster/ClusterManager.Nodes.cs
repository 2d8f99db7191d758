using Quorumail.Cluster.Health;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster;

/// <content>What this node sees of itself and the others.</content>
public sealed partial class ClusterManager
{
    /// <summary>The disks of the other nodes that can be asked now.</summary>
    public IReadOnlyList<ClusterPeer> Reachable => [.. _transport.Peers.Where(peer => peer.Incarnation > 0).Select(peer => new ClusterPeer(peer.NodeId, peer.Incarnation))];

    /// <summary>Whether this node's disk is nearly full, or that of another one that lives, as far as this one has heard.</summary>
    public bool IsAnyShortOfSpace => _parts?.Monitor.IsAnyShortOfSpace ?? false;

    /// <summary>When the voting members last gave a sign to this leader, itself among them; empty while this node does not lead.</summary>
    public IReadOnlyList<MemberContact> Contacts => _parts is not { } parts ? [] :
        [.. parts.Node.Contacts.Select(contact => new MemberContact(
            new ClusterPeer(contact.NodeId, contact.Incarnation), contact.Silence, parts.Traffic.IsGone(contact.NodeId, contact.Incarnation)))];

    /// <summary>Rises with every change of the voting members.</summary>
    public long MembershipVersion => Node?.MembershipVersion ?? 0;

    /// <summary>Asks the program around another node's cluster (<see cref="ClusterHost.Service"/>).</summary>
    /// <param name="nodeId">Which node; whether it still is the same disk is the program's to check.</param>
    /// <param name="question">At most about 1 MiB; must not change until the task ends.</param>
    /// <param name="token">Ends the waiting; the other node may have acted or act still.</param>
    /// <exception cref="IOException">It is not connected, has no answer, or the connection broke before the answer came.</exception>
    public Task<ReadOnlyMemory<byte>> AskAsync(string nodeId, ReadOnlyMemory<byte> question, CancellationToken token) =>
        _transport.AskAsync(nodeId, FrameType.Application, question, token);

    private List<ClusterNodeView> NodeViews()
    {
        long commit = Node?.CommitIndex ?? 0;
        IReadOnlyList<MemberInfo> members = Members();
        MemberInfo? self = members.FirstOrDefault(IsLocal);
        List<ClusterNodeView> views = [LocalView(self, commit)];
        if (_parts is { } parts)
        {
            Dictionary<string, NodeHello> hellos = _transport.Peers.DistinctBy(peer => peer.NodeId, StringComparer.Ordinal).ToDictionary(peer => peer.NodeId, StringComparer.Ordinal);
            views.AddRange(members.Where(member => !IsLocal(member)).Select(member => View(parts, member, self, hellos.GetValueOrDefault(member.NodeId))));
        }

        views.Sort(static (left, right) => string.CompareOrdinal(left.Id, right.Id));
        return views;
    }

    // A node whose disk was replaced is there twice for a moment: the member counts, then the newer disk.
    private IReadOnlyList<MemberInfo> Members() =>
        [.. (Node?.Members ?? []).OrderByDescending(member => member.IsVoter).ThenByDescending(member => member.Incarnation).DistinctBy(member => member.NodeId, StringComparer.Ordinal)];

    private bool IsLocal(MemberInfo member) => string.Equals(member.NodeId, NodeId, StringComparison.Ordinal);

    private ClusterNodeView LocalView(MemberInfo? member, long commit)
    {
        (string host, int port) = Split(_config.AdvertiseAddress.Length > 0 ? _config.AdvertiseAddress : EndPoint?.ToString() ?? "");
        if (_parts is not { } parts)
        {
            return new ClusterNodeView(NodeId, host, port, NodeRole.Follower, NodeStatus.Unhealthy, Obstacle ?? "starting") { IsVoter = false };
        }

        Heartbeat own = parts.Monitor.Own();
        NodeCondition condition = own.Condition!;
        string reason = condition.Status == NodeStatus.Unhealthy && Obstacle is { } obstacle ? obstacle : condition.Reason;
        return new ClusterNodeView(NodeId, host, port, own.Role, condition.Status, reason)
        {
            Incarnation = parts.Node.Incarnation,
            IsVoter = member?.IsVoter ?? true,
            LastHeartbeat = own.Timestamp,
            Metadata = own.Metadata,
            MatchedIndex = member?.MatchedIndex ?? condition.AppliedIndex,
            Lag = Math.Max(0, commit - condition.AppliedIndex),
        };
    }

    private ClusterNodeView View(Parts parts, MemberInfo member, MemberInfo? self, NodeHello? hello)
    {
        // Only the leader knows how far the others are now; what they said themselves is up to an interval old.
        long? lag = self?.MatchedIndex is { } last && member.MatchedIndex is { } matched ? Math.Max(0, last - matched) : null;
        PeerHealth health = parts.Monitor.Of(member.NodeId, lag);
        (string host, int port) = Split(AddressOf(member, hello));
        return new ClusterNodeView(member.NodeId, host, port, health.Heartbeat?.Role ?? NodeRole.Follower, health.Status, health.Reason)
        {
            Incarnation = member.Incarnation,
            IsVoter = member.IsVoter,
            LastHeartbeat = health.Heartbeat is null ? null : (_time.GetUtcNow() - health.HeartbeatAge).ToUnixTimeSeconds(),
            Metadata = health.Heartbeat?.Metadata,
            RoundTrip = health.RoundTrip,
            MatchedIndex = member.MatchedIndex ?? health.Heartbeat?.Condition?.AppliedIndex,
            Lag = lag,
        };
    }

    private string AddressOf(MemberInfo member, NodeHello? hello) =>
        hello is { Address.Length: > 0 } ? hello.Address
        : _transport.Dialled.FirstOrDefault(dialled => string.Equals(dialled.NodeId, member.NodeId, StringComparison.Ordinal))?.Address
        ?? member.Address;

    private static (string Host, int Port) Split(string address) =>
        PeerAddress.TryParse(address, out PeerAddress? parsed, out _) ? (parsed!.Host, parsed.Port) : ("", 0);
}
