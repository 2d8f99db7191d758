namespace Quorumail.Cluster.Journal;

/// <summary>How large the journal is and what it has cost; for metrics.</summary>
/// <param name="FirstIndex">First entry that it holds, or the next one.</param>
/// <param name="LastIndex">Last entry that it holds.</param>
/// <param name="Files">Segments on the disk.</param>
/// <param name="Bytes">Bytes of records in them, those that are forgotten but not yet deleted included.</param>
/// <param name="Syncs">Batches made durable since the start.</param>
public readonly record struct JournalSize(long FirstIndex, long LastIndex, int Files, long Bytes, long Syncs);
