namespace Quorumail.Cluster.Log;

/// <summary>What the cluster knows of one disk that it has admitted.</summary>
/// <param name="Incarnation">The number that the cluster gave it; never given twice.</param>
/// <param name="NodeId">The node's name.</param>
/// <param name="Address">host:port at which peers reach it; empty if unknown.</param>
/// <param name="Disk">What the node calls this disk itself.</param>
/// <param name="IsStruck">Whether it is gone for good.</param>
internal sealed record KnownIncarnation(int Incarnation, string NodeId, string Address, Guid Disk, bool IsStruck);
