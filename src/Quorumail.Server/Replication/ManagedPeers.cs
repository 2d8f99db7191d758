using Quorumail.Cluster;
using Quorumail.Core.Queue;
using Quorumail.Server.Hosting;

namespace Quorumail.Server.Replication;

/// <summary>The other nodes over the cluster port.</summary>
internal sealed class ManagedPeers : IPeers
{
    /// <summary>This node's name; set before bodies come.</summary>
    public string NodeId { get; set; } = "";

    /// <summary>The cluster; set before bodies come.</summary>
    public ClusterManager? Manager { get; set; }

    public BodyHolder Self => new(NodeId, Manager?.Node?.Incarnation ?? 0);

    public IReadOnlyList<ClusterPeer> Reachable => Manager?.Reachable ?? [];

    public bool CarryBodies => Manager is { IsAnyShortOfSpace: false, Node.FeatureLevel: >= FeatureLevels.CarriedBodies };

    public Task<ReadOnlyMemory<byte>> AskAsync(string nodeId, ReadOnlyMemory<byte> question, CancellationToken token) =>
        Manager?.AskAsync(nodeId, question, token) ?? Task.FromException<ReadOnlyMemory<byte>>(new IOException("The cluster is not running."));
}
