namespace Quorumail.Cluster.Raft;

/// <summary>What the body of a <see cref="Core.Cluster.FrameType.Snapshot"/> begins with.</summary>
internal enum SnapshotFrame : byte
{
    /// <summary>A new snapshot: incarnation that it is for (4), its id (16). What was staged before is dropped.</summary>
    Begin = 1,

    /// <summary>A part: incarnation (4), id (16), offset (8), bytes (length and bytes).</summary>
    Part = 2,

    /// <summary>
    /// It is whole: incarnation (4), id (16), length (8), leader's term (8), index (8) and term (8) of the last entry that
    /// it stands for, version of the members (8), members (length and bytes). The answer has the term (8) and the engine's
    /// result (1).
    /// </summary>
    Install = 3,
}
