using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace Quorumail.Cluster.Journal;

/// <summary>
/// An append-only file of entries. Appending puts an entry into memory; a thread of the journal writes everything that
/// has gathered, with one fdatasync, while the next entries gather. Failures of the disk are final: nothing is retried.
/// </summary>
internal sealed partial class EntryJournal : IDisposable
{
    private const string MarkName = "mark";
    private const string InstallingName = "mark.installing";

    private readonly string _directory;
    private readonly SafeFileHandle _owner; // Keeps other processes out.
    private readonly int _segmentSize;
    private readonly SegmentPool _pool;
    private readonly Thread _writer;

    // Held while files are written, cut or deleted; taken before _gate.
    private readonly Lock _files = new();

    // Guards what follows; never held during I/O. An object, because the writer waits on it.
    private readonly object _gate = new();
    private readonly List<JournalSegment> _segments;
    private readonly Dictionary<long, MemoryEntry> _memory = [];
    private readonly List<(long Index, TaskCompletionSource Waiter)> _waiters = [];
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private List<MemoryEntry> _toWrite = [];
    private JournalMark _mark;
    private long _lastIndex;
    private long _lastTerm;
    private long _durableIndex;
    private long _syncs;
    private Exception? _failure;
    private bool _stopping;

    private EntryJournal(string directory, int segmentSize, JournalMark mark, List<JournalSegment> segments, long lastTerm, SafeFileHandle owner)
    {
        _directory = directory;
        _owner = owner;
        _segmentSize = segmentSize;
        _pool = new SegmentPool(directory, segmentSize);
        _mark = mark;
        _segments = segments;
        _lastIndex = segments.Count == 0 ? mark.Index : segments[^1].LastIndex;
        _lastTerm = lastTerm;
        _durableIndex = _lastIndex;
        _writer = new Thread(WriteUntilStopped) { IsBackground = true, Name = "journal" };
        _writer.Start();
    }

    /// <summary>Where the journal begins.</summary>
    public JournalMark Mark
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
    public long LastTerm
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

    /// <summary>Whether the caller runs on the journal's own thread.</summary>
    public bool IsOnWriter => Thread.CurrentThread == _writer;

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
    public long Append(long term, RecordKind kind, ReadOnlySpan<byte> payload, object? context = null)
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
            int size = JournalRecord.SizeOf(payload.Length);
            byte[] buffer = ArrayPool<byte>.Shared.Rent(size);
            new JournalRecord(index, term, kind, payload.Length, _durableIndex).Write(buffer.AsSpan(0, size), payload);
            MemoryEntry entry = new(index, term, kind, buffer, payload.Length, context);
            _memory.Add(index, entry);
            _toWrite.Add(entry);
            _lastTerm = term;
            Volatile.Write(ref _lastIndex, index);
            Monitor.Pulse(_gate);
            return index;
        }
    }

    /// <summary>Completes when everything up to an index is durable.</summary>
    /// <param name="index">Of an entry that has been appended.</param>
    /// <param name="continueHere">What awaits goes on at once, on the journal's own thread; it must not block.</param>
    /// <exception cref="IOException">The disk has failed.</exception>
    public Task WaitDurableAsync(long index, bool continueHere = false)
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

    /// <summary>Term of an entry, or of the mark.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The journal has forgotten it, or does not hold it yet.</exception>
    public long TermOf(long index)
    {
        lock (_gate)
        {
            return index == _mark.Index ? _mark.Term
                : index == _lastIndex ? _lastTerm
                : _memory.TryGetValue(index, out MemoryEntry? entry) ? entry.Term
                : SegmentOf(index).TermOf(index);
        }
    }

    /// <summary>Reads an entry; from memory, without a copy, if it has not been applied yet.</summary>
    public JournalEntry Read(long index)
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
    public List<JournalEntry> ReadCopies(long index, long lastIndex, long maxBytes, int maxEntries)
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
    public void Release(long index)
    {
        lock (_gate)
        {
            if (index <= _durableIndex && _memory.Remove(index, out MemoryEntry? entry))
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

    private void WriteUntilStopped()
    {
        List<MemoryEntry> batch = [];
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
                        Published(batch[^1].Index);
                    }
                }

                batch.Clear();
                CompleteWaiters();
            }
            catch (Exception failure)
            {
                lock (_gate)
                {
                    _failure = failure;
                }

                _failed.TrySetResult(failure);
                FailWaiters(new IOException($"The journal has failed: {failure.Message}", failure));
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

    private void WriteBatch(List<MemoryEntry> batch, List<ReadOnlyMemory<byte>> records)
    {
        JournalSegment? segment = _segments.Count == 0 ? null : _segments[^1];
        int start = segment?.End ?? 0;
        records.Clear();
        foreach (MemoryEntry entry in batch)
        {
            int size = JournalRecord.SizeOf(entry.Length);
            if (segment is null || segment.End + size > _segmentSize)
            {
                WriteRecords(segment, records, start);
                segment = JournalSegment.Create(_directory, entry.Index, _segmentSize, _pool.TryTake());
                start = segment.End;
                lock (_gate)
                {
                    _segments.Add(segment);
                }
            }

            records.Add(entry.Buffer.AsMemory(0, size));
            lock (_gate)
            {
                segment.Add(entry.Term, entry.Length);
            }
        }

        WriteRecords(segment, records, start);
        if (segment?.End > _segmentSize / 2)
        {
            _pool.Prepare();
        }
    }

    private static void WriteRecords(JournalSegment? segment, List<ReadOnlyMemory<byte>> records, int offset)
    {
        if (segment is not null && records.Count > 0)
        {
            segment.Write(records, offset);
            segment.Sync();
            records.Clear();
        }
    }

    private void Published(long index)
    {
        lock (_gate)
        {
            _syncs++;
            Volatile.Write(ref _durableIndex, index);
        }
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

    private sealed record MemoryEntry(long Index, long Term, RecordKind Kind, byte[] Buffer, int Length, object? Context)
    {
        public ReadOnlyMemory<byte> Payload => Buffer.AsMemory(JournalRecord.HeaderSize, Length);
    }
}
