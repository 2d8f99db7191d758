using DotNext.IO.Log;
using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The body of <see cref="Core.Cluster.FrameType.Append"/>: incarnation that it is for (4), term, index and term of the
/// entry before, commit index (8 each), number of entries (4), and of each its term (8), kind (1), length (4) and bytes.
/// </summary>
#pragma warning disable VSTHRD200 // What makes it enumerable asynchronously is the engine's interface; nothing here is awaited.
internal sealed class AppendFrame : ILogEntryProducer<JournalLogEntry>
{
    private const int EntryHeader = 13;
    private const int Header = 40;

    private readonly JournalLogEntry[] _entries;
    private int _current = -1;

    private AppendFrame(JournalLogEntry[] entries) => _entries = entries;

    public int ToIncarnation { get; private init; }

    public long Term { get; private init; }

    public long PreviousIndex { get; private init; }

    public long PreviousTerm { get; private init; }

    public long CommitIndex { get; private init; }

    /// <summary>Index of the last entry that it holds, or of the one before.</summary>
    public long LastIndex => PreviousIndex + _entries.Length;

    /// <summary>All entries that it holds, whatever has been taken out.</summary>
    public IReadOnlyList<JournalLogEntry> Entries => _entries;

    public long RemainingCount => _entries.Length - _current - 1;

    public JournalLogEntry Current => _entries[_current];

    /// <summary>Writes a frame.</summary>
    public static FrameWriter Write(
        int toIncarnation, long term, IReadOnlyList<JournalEntry> entries, long previousIndex, long previousTerm, long commitIndex)
    {
        int size = Header;
        foreach (JournalEntry entry in entries)
        {
            size += EntryHeader + entry.Payload.Length;
        }

        FrameWriter frame = new(size);
        frame.Int(toIncarnation).Long(term).Long(previousIndex).Long(previousTerm).Long(commitIndex).Int(entries.Count);
        foreach (JournalEntry entry in entries)
        {
            frame.Long(entry.Term).Byte((byte)entry.Kind).Bytes(entry.Payload.Span);
        }

        return frame;
    }

    /// <summary>Reads a frame; its entries are slices of the body.</summary>
    /// <exception cref="InvalidDataException">It is not well-formed.</exception>
    public static AppendFrame Read(ReadOnlyMemory<byte> body)
    {
        FrameReader reader = new(body);
        int incarnation = reader.Int();
        (long term, long previousIndex, long previousTerm, long commitIndex) = (reader.Long(), reader.Long(), reader.Long(), reader.Long());
        int count = reader.Int();
        if (count < 0 || count > reader.Left / EntryHeader || previousIndex < 0)
        {
            throw new InvalidDataException($"An append frame says that it holds {count} entries.");
        }

        JournalLogEntry[] entries = new JournalLogEntry[count];
        for (int i = 0; i < count; i++)
        {
            long entryTerm = reader.Long();
            byte kind = reader.Byte();
            if (kind > (byte)RecordKind.Configuration)
            {
                throw new InvalidDataException($"An append frame holds an entry of kind {kind}.");
            }

            entries[i] = new JournalLogEntry(entryTerm, (RecordKind)kind, reader.Bytes());
        }

        return new AppendFrame(entries)
        {
            ToIncarnation = incarnation,
            Term = term,
            PreviousIndex = previousIndex,
            PreviousTerm = previousTerm,
            CommitIndex = commitIndex,
        };
    }

    /// <summary>
    /// The frame without what a log that begins after a mark can't compare any more: up to there everything is committed,
    /// and therefore the same in every leader's log.
    /// </summary>
    public AppendFrame After(long markIndex, long markTerm)
    {
        if (PreviousIndex >= markIndex)
        {
            return this;
        }

        int known = (int)Math.Min(markIndex - PreviousIndex, _entries.Length);
        return new AppendFrame(_entries[known..])
        {
            ToIncarnation = ToIncarnation,
            Term = Term,
            PreviousIndex = markIndex,
            PreviousTerm = markTerm,
            CommitIndex = CommitIndex,
        };
    }

    public ValueTask<bool> MoveNextAsync() => ValueTask.FromResult(++_current < _entries.Length);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
