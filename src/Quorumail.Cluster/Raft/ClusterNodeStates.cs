using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>The states that a node's log makes besides the cluster's own.</summary>
/// <param name="Application">Of <see cref="CommandTarget.Application"/>.</param>
/// <param name="Store">Of <see cref="CommandTarget.Store"/>; null if the node has none.</param>
public sealed record ClusterNodeStates(IReplicatedState Application, IReplicatedState? Store = null);
