namespace Quorumail.Cluster;

/// <summary>One disk of one node of the cluster.</summary>
/// <param name="NodeId">The node's name.</param>
/// <param name="Incarnation">Generation of its disk; a wiped disk comes back under another one.</param>
public readonly record struct ClusterPeer(string NodeId, int Incarnation);
