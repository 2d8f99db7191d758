using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace Quorumail.Cluster.Journal;

/// <summary>
/// An append-only file of the log's entries and of records of this node alone. Appending puts them into memory; a thread of
/// the journal writes everything that has gathered, with one fdatasync, while the next gather. What was appended earlier
/// is never durable later: an entry vouches for the local records before it. Failures of the disk are final: nothing is
/// retried.
/// </summary>
public sealed partial class EntryJournal : IDisposable
{
    private const string MarkName = "mark";
    private const string InstallingName = "mark.installing";

    private readonly string _directory;
    private readonly SafeFileHandle _owner; // Keeps other processes out.
    private readonly int _segmentSize;
    private readonly SegmentPool _pool;
    private readonly ILocalRecords? _local;
    private readonly Thread _writer;

    // Held while files are written, cut or deleted; taken before _gate.
    private readonly Lock _files = new();

    // Guards what follows; never held during I/O. An object, because the writer waits on it.
    private readonly object _gate = new();
    private readonly List<JournalSegment> _segments;
    private readonly Dictionary<long, MemoryEntry> _memory = [];
    private readonly List<(long Index, TaskCompletionSource Waiter)> _waiters = [];
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private List<PendingRecord> _toWrite = [];
    private JournalMark _mark;
    private long _lastIndex;
    private long _lastTerm;
    private long _durableIndex;
    private long _position;
    private long _durablePosition;
    private long _cutPosition = long.MaxValue; // The lowest that a cut has left since forgetting was begun.
    private long _memoryBytes;
    private long _written;
    private long _syncs;
    private bool _isSyncDue; // Of the last segment: a segment is synced before another begins.
    private Exception? _failure;
    private bool _stopping;

    private EntryJournal(string directory, int segmentSize, List<JournalSegment> segments, long lastTerm, long position, ILocalRecords? local, SafeFileHandle owner)
    {
        _directory = directory;
        _owner = owner;
        _local = local;
        _segmentSize = segmentSize;
        _pool = new SegmentPool(directory, segmentSize);
        _segments = segments;
        _lastTerm = lastTerm;
        _position = position;
        _durablePosition = _position;
        _writer = new Thread(WriteUntilStopped) { IsBackground = true, Name = "journal" };
        _writer.Start();
    }

    /// <summary>Position of the last record written, of any kind. What was appended before the call may come later.</summary>
    public long Position => Volatile.Read(ref _position);

    /// <summary>Bytes written so far in this life.</summary>
    public long Written => Volatile.Read(ref _written);

    /// <summary>Where the journal begins.</summary>
    internal JournalMark Mark
    {
        get
        {
            lock (_gate)
            {
                return _mark;
            }
        }
    }

    /// <summary>Index of the last entry appended, durable or not.</summary>
    public long LastIndex => Volatile.Read(ref _lastIndex);

    /// <summary>Term of the last entry appended, or of the mark.</summary>
    internal long LastTerm
    {
        get
        {
            lock (_gate)
            {
                return _lastTerm;
            }
        }
    }

    /// <summary>Index of the last entry that is durable.</summary>
    public long DurableIndex => Volatile.Read(ref _durableIndex);

    /// <summary>Completes when the disk has failed; no entry becomes durable after that.</summary>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>Bytes of the entries that are in memory because they are not durable or not applied yet.</summary>
    internal long MemoryBytes
    {
        get
        {
            lock (_gate)
            {
                return _memoryBytes;
            }
        }
    }

    /// <summary>Above so many of them, entries that are durable and wait to be applied are read from the disk when their turn comes.</summary>
    internal long MaxMemoryBytes { get; set; } = 64 << 20;

    /// <summary>Whether the caller runs on the journal's own thread.</summary>
    internal bool IsOnWriter => Thread.CurrentThread == _writer;

    /// <summary>For metrics.</summary>
    public JournalSize Size
    {
        get
        {
            lock (_gate)
            {
                return new JournalSize(_mark.Index + 1, _lastIndex, _segments.Count, _segments.Sum(s => (long)s.End), _syncs);
            }
        }
    }

    /// <summary>Largest payload of an entry.</summary>
    public int MaximumPayload => _segmentSize - JournalSegment.HeaderSize - JournalRecord.HeaderSize - 8;

    /// <summary>Appends one entry and returns its index; it is durable when <see cref="WaitDurableAsync"/> says so.</summary>
    /// <exception cref="IOException">The disk has failed.</exception>
    internal long Append(long term, RecordKind kind, ReadOnlySpan<byte> payload, object? context = null)
    {
        if (payload.Length > MaximumPayload)
        {
            throw new ArgumentException($"The payload has {payload.Length} bytes; the limit is {MaximumPayload}.", nameof(payload));
        }

        lock (_gate)
        {
            ThrowIfFailed();
            if (term < _lastTerm)
            {
                throw new InvalidOperationException($"An entry of term {term} can't follow one of term {_lastTerm}.");
            }

            long index = _lastIndex + 1;
            byte[] buffer = ArrayPool<byte>.Shared.Rent(JournalRecord.SizeOf(payload.Length));
            payload.CopyTo(buffer.AsSpan(JournalRecord.HeaderSize));
            MemoryEntry entry = new(index, term, kind, buffer, payload.Length, context);
            _memory.Add(index, entry);
            _memoryBytes += buffer.Length;
            Gather(new PendingRecord(index, term, kind, buffer, payload.Length, null));
            _lastTerm = term;
            Volatile.Write(ref _lastIndex, index);
            return index;
        }
    }

    /// <summary>Appends a record of this node alone; what is appended later is durable no sooner.</summary>
    /// <exception cref="IOException">The disk has failed.</exception>
    public void Append(LocalRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        int length = record.Length;
        if (length > MaximumPayload)
        {
            throw new ArgumentException($"The record has {length} bytes; the limit is {MaximumPayload}.", nameof(record));
        }

        byte[] buffer = ArrayPool<byte>.Shared.Rent(JournalRecord.SizeOf(length));
        record.CopyTo(buffer.AsSpan(JournalRecord.HeaderSize, length));
        lock (_gate)
        {
            ThrowIfFailed();
            Gather(new PendingRecord(_lastIndex, 0, RecordKind.Local, buffer, length, record));
        }
    }

    /// <summary>Completes when everything up to an index is durable.</summary>
    /// <param name="index">Of an entry that has been appended.</param>
    /// <param name="continueHere">What awaits goes on at once, on the journal's own thread; it must not block.</param>
    /// <exception cref="IOException">The disk has failed.</exception>
    internal Task WaitDurableAsync(long index, bool continueHere = false)
    {
        if (index <= DurableIndex)
        {
            return Task.CompletedTask;
        }

        lock (_gate)
        {
            ThrowIfFailed();
            if (index <= _durableIndex)
            {
                return Task.CompletedTask;
            }

            TaskCompletionSource waiter = new(continueHere ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Add((index, waiter));
            return waiter.Task;
        }
    }

    /// <summary>Whether the disk holds the entry of this index and term.</summary>
    internal bool IsDurable(long index, long term)
    {
        lock (_gate)
        {
            return index >= _mark.Index && index <= _durableIndex && TermOf(index) == term;
        }
    }

    /// <summary>Term of an entry, or of the mark.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The journal has forgotten it, or does not hold it yet.</exception>
    internal long TermOf(long index)
    {
        lock (_gate)
        {
            return index == _mark.Index ? _mark.Term
                : index == _lastIndex ? _lastTerm
                : _memory.TryGetValue(index, out MemoryEntry? entry) ? entry.Term
                : SegmentOf(index).TermOf(index);
        }
    }

    /// <summary>Indexes of the entries on the disk after an index that set the members, in order.</summary>
    internal List<long> ConfigurationsAfter(long index)
    {
        lock (_gate)
        {
            return [.. _segments.SelectMany(s => s.Configurations).Where(i => i > index)];
        }
    }

    /// <summary>Reads an entry; from memory, without a copy, if it has not been applied yet.</summary>
    internal JournalEntry Read(long index)
    {
        JournalSegment segment;
        long term;
        lock (_gate)
        {
            if (_memory.TryGetValue(index, out MemoryEntry? entry))
            {
                return new JournalEntry(index, entry.Term, entry.Kind, entry.Payload, entry.Context);
            }

            segment = SegmentOf(index);
            term = segment.TermOf(index);
        }

        (RecordKind kind, byte[] payload) = segment.Read(index);
        return new JournalEntry(index, term, kind, payload, null);
    }

    /// <summary>
    /// Copies entries from an index on, as many as the limits allow but at least one. Fewer, or none, if the journal
    /// forgets them meanwhile.
    /// </summary>
    internal List<JournalEntry> ReadCopies(long index, long lastIndex, long maxBytes, int maxEntries)
    {
        List<JournalEntry> entries = [];
        for (long bytes = 0; index <= lastIndex && entries.Count < maxEntries; index++)
        {
            try
            {
                JournalEntry entry = ReadCopy(index);
                bytes += entry.Payload.Length;
                if (bytes > maxBytes && entries.Count > 0)
                {
                    break;
                }

                entries.Add(entry);
            }
            catch (Exception forgotten) when (forgotten is ObjectDisposedException or ArgumentOutOfRangeException or JournalException && index <= Mark.Index)
            {
                entries.Clear();
                break;
            }
        }

        return entries;
    }

    /// <summary>Frees the memory of an entry that has been applied.</summary>
    internal void Release(long index)
    {
        lock (_gate)
        {
            if (index <= _durableIndex && Drop(index) is { } entry)
            {
                ArrayPool<byte>.Shared.Return(entry.Buffer);
            }
        }
    }

    /// <summary>Stops writing; what was appended and is not durable yet is written first.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.Pulse(_gate);
        }

        _writer.Join();
        _pool.Dispose();
        foreach (JournalSegment segment in _segments)
        {
            segment.Dispose();
        }

        _owner.Dispose();
        FailWaiters(new IOException("The journal is closed."));
    }

    private JournalEntry ReadCopy(long index)
    {
        lock (_gate)
        {
            if (_memory.TryGetValue(index, out MemoryEntry? entry))
            {
                return new JournalEntry(index, entry.Term, entry.Kind, entry.Payload.ToArray(), null);
            }
        }

        return Read(index);
    }

    private JournalSegment SegmentOf(long index)
    {
        for (int i = _segments.Count - 1; i >= 0; i--)
        {
            if (_segments[i].FirstIndex <= index && index <= _segments[i].LastIndex)
            {
                return _segments[i];
            }
        }

        throw new ArgumentOutOfRangeException(nameof(index), index, "The journal does not hold this entry.");
    }

    private void ThrowIfFailed()
    {
        if (_failure is { } cause)
        {
            throw new IOException($"The journal has failed: {cause.Message}", cause);
        }

        ObjectDisposedException.ThrowIf(_stopping, this);
    }

    // Under the gate. The writer looks again before it waits, so that one pulse for a group is enough.
    private void Gather(PendingRecord record)
    {
        _toWrite.Add(record);
        if (_toWrite.Count == 1)
        {
            Monitor.Pulse(_gate);
        }
    }

    private void WriteUntilStopped()
    {
        List<PendingRecord> batch = [];
        List<ReadOnlyMemory<byte>> records = [];
        while (WaitForWork())
        {
            try
            {
                lock (_files)
                {
                    lock (_gate)
                    {
                        (batch, _toWrite) = (_toWrite, batch);
                    }

                    if (batch.Count > 0)
                    {
                        WriteBatch(batch, records);
                    }
                }

                EndLocal(batch, null);
                batch.Clear();
                CompleteWaiters();
            }
            catch (Exception failure)
            {
                Fail(failure, batch);
                return;
            }
        }
    }

    private bool WaitForWork()
    {
        lock (_gate)
        {
            while (_toWrite.Count == 0 && !_stopping)
            {
                Monitor.Wait(_gate);
            }

            return _toWrite.Count > 0;
        }
    }

    private void Fail(Exception failure, List<PendingRecord> batch)
    {
        IOException reported = new($"The journal has failed: {failure.Message}", failure);
        lock (_gate)
        {
            _failure ??= failure;
            batch.AddRange(_toWrite);
            _toWrite.Clear();
        }

        _failed.TrySetResult(failure);
        EndLocal(batch, reported);
        FailWaiters(reported);
    }

    private static void EndLocal(List<PendingRecord> batch, IOException? failure)
    {
        foreach (PendingRecord record in batch)
        {
            if (record.Local is { } local)
            {
                ArrayPool<byte>.Shared.Return(record.Buffer);
                local.Ended(failure);
            }
        }
    }

    private void WriteBatch(List<PendingRecord> batch, List<ReadOnlyMemory<byte>> records)
    {
        JournalSegment? segment = _segments.Count == 0 ? null : _segments[^1];
        int start = segment?.End ?? 0;
        long position = _position;
        bool needsSync = false;
        records.Clear();
        foreach (PendingRecord record in batch)
        {
            int size = JournalRecord.SizeOf(record.Length);
            if (segment is null || segment.End + size > _segmentSize)
            {
                WriteRecords(segment, records, start, needsSync: true);
                segment = AddSegment(position + 1, record.Kind == RecordKind.Local ? record.Index + 1 : record.Index);
                start = segment.End;
            }

            position++;
            needsSync |= record.Local is not { NeedsSync: false };
            new JournalRecord(position, record.Index, record.Term, record.Kind, record.Length, _durablePosition)
                .Seal(record.Buffer.AsSpan(0, size), segment.Seed);
            records.Add(record.Buffer.AsMemory(0, size));
            lock (_gate)
            {
                segment.Add(record.Kind, record.Term, record.Length);
            }
        }

        WriteRecords(segment, records, start, needsSync);
        Published(position, batch, needsSync);
        if (segment!.End > _segmentSize / 2)
        {
            _pool.Prepare();
        }
    }

    private JournalSegment AddSegment(long firstPosition, long firstIndex)
    {
        JournalSegment segment = JournalSegment.Create(_directory, firstPosition, firstIndex, _segmentSize, _pool.TryTake());
        lock (_gate)
        {
            _segments.Add(segment);
        }

        return segment;
    }

    private void WriteRecords(JournalSegment? segment, List<ReadOnlyMemory<byte>> records, int offset, bool needsSync)
    {
        if (segment is null)
        {
            return;
        }

        if (records.Count > 0)
        {
            segment.Write(records, offset);
            Volatile.Write(ref _written, _written + segment.End - offset);
            records.Clear();
            _isSyncDue = true;
        }

        if (needsSync && _isSyncDue)
        {
            segment.Sync();
            _isSyncDue = false;
        }
    }

    private void Published(long position, List<PendingRecord> batch, bool isDurable)
    {
        lock (_gate)
        {
            Volatile.Write(ref _position, position);
            if (!isDurable)
            {
                return;
            }

            _syncs++;
            _durablePosition = position;
            Volatile.Write(ref _durableIndex, batch[^1].Index);

            // The latest ones, whose turn is last; but never what somebody waits for, which is bounded elsewhere.
            for (int i = batch.Count - 1; i >= 0 && _memoryBytes > MaxMemoryBytes; i--)
            {
                if (batch[i].Local is null && _memory.TryGetValue(batch[i].Index, out MemoryEntry? entry) && entry.Context is null)
                {
                    Drop(entry.Index);
                }
            }
        }
    }

    // Its buffer may still be read by whom it was given to.
    private MemoryEntry? Drop(long index)
    {
        if (_memory.Remove(index, out MemoryEntry? entry))
        {
            _memoryBytes -= entry.Buffer.Length;
        }

        return entry;
    }

    private void CompleteWaiters()
    {
        while (true)
        {
            TaskCompletionSource waiter;
            lock (_gate)
            {
                int found = _waiters.FindIndex(w => w.Index <= _durableIndex);
                if (found < 0)
                {
                    return;
                }

                waiter = _waiters[found].Waiter;
                _waiters.RemoveAt(found);
            }

            waiter.TrySetResult();
        }
    }

    private void FailWaiters(Exception failure)
    {
        List<(long Index, TaskCompletionSource Waiter)> waiters;
        lock (_gate)
        {
            waiters = [.. _waiters];
            _waiters.Clear();
        }

        foreach ((_, TaskCompletionSource waiter) in waiters)
        {
            waiter.TrySetException(failure);
        }
    }

    /// <summary>A record that is to be written; for a local one, the index is that of the last entry before it.</summary>
    private readonly record struct PendingRecord(long Index, long Term, RecordKind Kind, byte[] Buffer, int Length, LocalRecord? Local);

    private sealed record MemoryEntry(long Index, long Term, RecordKind Kind, byte[] Buffer, int Length, object? Context)
    {
        public ReadOnlyMemory<byte> Payload => Buffer.AsMemory(JournalRecord.HeaderSize, Length);
    }
}
