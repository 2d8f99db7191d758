namespace Quorumail.Cluster;

/// <summary>What the leader knows of a member's being there; consensus' own contact, not the heartbeats of type 1.</summary>
/// <param name="Peer">The member.</param>
/// <param name="Silence">Time since it last answered, or since this node leads if that is shorter; zero for the leader itself.</param>
/// <param name="IsGone">Its connections were reset and it refuses new ones: its process has ended.</param>
public readonly record struct MemberContact(ClusterPeer Peer, TimeSpan Silence, bool IsGone);
