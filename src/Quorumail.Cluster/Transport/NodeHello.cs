namespace Quorumail.Cluster.Transport;

/// <summary>What a node says of itself in the handshake.</summary>
/// <param name="NodeId">Its name, unique in the cluster.</param>
/// <param name="Incarnation">Generation of its disk, given by the cluster; 0 while the disk is empty and has none.</param>
/// <param name="ClusterId">The cluster that its disk belongs to; empty while it belongs to none.</param>
/// <param name="FeatureLevel">The highest feature level that its program knows.</param>
/// <param name="Address">host:port at which peers reach it; empty if it does not know.</param>
public sealed record NodeHello(string NodeId, int Incarnation, Guid ClusterId, int FeatureLevel, string Address);
