namespace Quorumail.Cluster.Raft;

/// <summary>Limits of a <see cref="RaftTrail"/>.</summary>
/// <param name="VoteDirectory">Where the engine keeps term and vote.</param>
/// <param name="SnapshotEntries">Entries after which the state is flushed and the journal forgets.</param>
/// <param name="SnapshotBytes">Bytes after which it is.</param>
/// <param name="MaxReadBytes">Bytes of one message to a follower, unless one entry has more.</param>
/// <param name="MaxReadEntries">Entries of one message to a follower.</param>
internal sealed record RaftTrailOptions(
    string VoteDirectory, int SnapshotEntries, long SnapshotBytes, long MaxReadBytes = 768 << 10, int MaxReadEntries = 4096);
