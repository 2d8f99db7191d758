using Quorumail.Cluster;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Replication;

/// <summary>The other nodes, as the copying of bodies needs them: over the cluster port, or in the tests' memory.</summary>
internal interface IPeers
{
    /// <summary>This node's own disk.</summary>
    BodyHolder Self { get; }

    /// <summary>The disks that can be asked now.</summary>
    IReadOnlyList<ClusterPeer> Reachable { get; }

    /// <summary>Whether all members understand a log that carries bodies, and have room for them.</summary>
    bool CarryBodies { get; }

    /// <summary>Asks a node's <see cref="BodyService"/>.</summary>
    /// <exception cref="IOException">There is no answer.</exception>
    Task<ReadOnlyMemory<byte>> AskAsync(string nodeId, ReadOnlyMemory<byte> question, CancellationToken token);
}
