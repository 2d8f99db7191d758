namespace Quorumail.Cluster.Journal;

/// <summary>One entry as a reader sees it.</summary>
/// <param name="Index">Position in the log, from 1.</param>
/// <param name="Term">Term of the leader that wrote it.</param>
/// <param name="Kind">What the payload is.</param>
/// <param name="Payload">Valid until the journal is told that the entry is applied; for a copy, for ever.</param>
/// <param name="Context">What the appender of this process attached.</param>
internal readonly record struct JournalEntry(
    long Index, long Term, RecordKind Kind, ReadOnlyMemory<byte> Payload, object? Context);
