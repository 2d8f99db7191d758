namespace Quorumail.Cluster.Raft;

/// <summary>One of the nodes that make the cluster.</summary>
/// <param name="NodeId">Its name.</param>
/// <param name="Incarnation">Generation of its disk.</param>
/// <param name="Address">host:port at which peers reach it; empty if unknown.</param>
/// <param name="IsVoter">False for one that is catching up before it becomes a member.</param>
/// <param name="MatchedIndex">Index up to which it has the log, as the leader knows it; null elsewhere.</param>
public sealed record MemberInfo(string NodeId, int Incarnation, string Address, bool IsVoter, long? MatchedIndex);
