using Microsoft.Win32.SafeHandles;
using Quorumail.Cluster.Disk;

namespace Quorumail.Cluster.Journal;

/// <content>Opening, and what moves the journal's two ends.</content>
public sealed partial class EntryJournal
{
    /// <summary>Opens a journal, or founds it, and checks every record that it holds. Before anything else comes <see cref="Begin"/>.</summary>
    /// <param name="directory">Of the journal alone; created if it does not exist.</param>
    /// <param name="segmentSize">Bytes of a file.</param>
    /// <param name="local">Keeps the records that are no entries; null if there will be none.</param>
    /// <exception cref="JournalException">The files contradict each other.</exception>
    /// <exception cref="IOException">Another process has it open, or the disk has failed.</exception>
    public static EntryJournal Open(string directory, int segmentSize, ILocalRecords? local = null)
    {
        Directory.CreateDirectory(directory);
        Fsync.Directory(Path.GetDirectoryName(Path.GetFullPath(directory))!);
        SafeFileHandle owner = Lock(Path.Combine(directory, "lock"));
        try
        {
            return Open(directory, segmentSize, local, owner);
        }
        catch
        {
            owner.Dispose();
            throw;
        }
    }

    /// <summary>Sets the journal's two ends by what the state holds.</summary>
    /// <param name="stateIndex">Entry up to which the state is; settles a snapshot whose installation was interrupted.</param>
    /// <exception cref="JournalException">The files contradict the state.</exception>
    public void Begin(long stateIndex)
    {
        JournalMark before = JournalMark.Read(Path.Combine(_directory, MarkName)) ?? default;
        bool isInstalled = Installing is { } installed && stateIndex >= installed.StateIndex && installed.Index >= before.Index;
        JournalMark mark = isInstalled ? Installing!.Value with { LocalPosition = before.LocalPosition } : before;
        CheckAgainst(mark, stateIndex);
        if (mark.LocalPosition > _position)
        {
            mark = mark with { LocalPosition = _position }; // A crash took what was written and not synced: its positions will be used again.
        }

        ChangeFiles(() =>
        {
            if (mark != before)
            {
                mark.Write(Path.Combine(_directory, MarkName));
            }

            SetEnds(mark, isInstalled);
        });
    }

    /// <summary>Forgets everything up to a mark; the state must hold it durably. Whole files only are given up.</summary>
    /// <param name="mark">Of the last entry that is not needed any more.</param>
    /// <param name="position">Local records up to it are not needed any more either.</param>
    internal void Forget(JournalMark mark, long position) => ChangeFiles(() =>
    {
        // Positions beyond a cut have been given to other records since.
        position = Math.Min(position, _cutPosition);
        if (mark.Index < _mark.Index || (mark.Index == _mark.Index && position <= _mark.LocalPosition))
        {
            return;
        }

        // What a snapshot has made the state hold beyond the log is not less for what is forgotten.
        mark = mark with { LocalPosition = position, StateIndex = Math.Max(mark.StateIndex, _mark.StateIndex) };
        mark.Write(Path.Combine(_directory, MarkName));
        int count = 0;
        while (count < _segments.Count - 1 && _segments[count].LastIndex <= mark.Index && _segments[count].LastPosition <= position)
        {
            count++;
        }

        lock (_gate)
        {
            _mark = mark;
        }

        foreach (JournalSegment segment in TakeFirst(count))
        {
            segment.Dispose();
            _pool.Recycle(segment.Path);
        }
    });

    /// <summary>Cuts off everything after an index, durably, because another leader's entries take its place.</summary>
    internal void TruncateAfter(long index) => ChangeFiles(() =>
    {
        if (index >= _lastIndex)
        {
            return;
        }

        if (_segments.Exists(s => s.ReachesBeyond(index) && s.HasLocal))
        {
            _local?.MakeDurable(); // What has been written; what has not stays in memory, and is written after the cut.
        }

        ForgetPositionsAfter(index);
        List<JournalSegment> cut = [];
        JournalSegment? shortened = null;
        lock (_gate)
        {
            _toWrite.RemoveAll(r => r.Index > index && r.Local is null);
            for (int i = 0; i < _toWrite.Count; i++)
            {
                _toWrite[i] = _toWrite[i] with { Index = Math.Min(_toWrite[i].Index, index) };
            }

            _lastTerm = TermOfLast(index);
            while (_segments.Count > 0 && _segments[^1].FirstIndex > index)
            {
                cut.Add(_segments[^1]);
                _segments.RemoveAt(_segments.Count - 1);
            }

            if (_segments.Count > 0 && _segments[^1].LastIndex > index)
            {
                shortened = _segments[^1];
                shortened.TruncateAfter(index);
            }

            foreach (long dropped in _memory.Keys.Where(i => i > index).ToArray())
            {
                Drop(dropped);
            }

            Volatile.Write(ref _lastIndex, index);
            Volatile.Write(ref _durableIndex, Math.Min(_durableIndex, index));
            _position = _segments.Count == 0 ? _mark.LocalPosition : _segments[^1].LastPosition;
            _durablePosition = _position;
            _cutPosition = Math.Min(_cutPosition, _position);
        }

        // Later files first, so that no crash leaves a gap.
        cut.ForEach(s => s.Delete());
        Fsync.Directory(_directory);
        shortened?.Erase();
    });

    /// <summary>Of a snapshot whose installation was begun and not ended; nothing if there is none.</summary>
    internal JournalMark? Installing => JournalMark.Read(Path.Combine(_directory, InstallingName));

    /// <summary>Announces, durably, that the state is about to be replaced by a snapshot up to a mark.</summary>
    internal void PrepareRestart(JournalMark mark) => ChangeFiles(() => mark.Write(Path.Combine(_directory, InstallingName)));

    /// <summary>Drops every entry: the state has been replaced by a snapshot up to a mark.</summary>
    internal void Restart(JournalMark mark) => ChangeFiles(() =>
    {
        if (_segments.Exists(s => s.HasLocal))
        {
            _local?.MakeDurable();
        }

        List<JournalSegment> dropped;
        mark = mark with { LocalPosition = _position };
        mark.Write(Path.Combine(_directory, MarkName));
        lock (_gate)
        {
            dropped = [.. _segments];
            _segments.Clear();
            _toWrite.RemoveAll(r => r.Local is null);
            for (int i = 0; i < _toWrite.Count; i++)
            {
                _toWrite[i] = _toWrite[i] with { Index = mark.Index };
            }

            _memory.Clear();
            _memoryBytes = 0;
            _mark = mark;
            _lastTerm = mark.Term;
            Volatile.Write(ref _lastIndex, mark.Index);
            Volatile.Write(ref _durableIndex, mark.Index);
        }

        dropped.Reverse();
        dropped.ForEach(s => s.Delete());
        File.Delete(Path.Combine(_directory, InstallingName));
        Fsync.Directory(_directory);
    });

    /// <summary>Position of the last record written; a later <see cref="Forget"/> up to it leaves alone what a cut has put in its place meanwhile.</summary>
    internal long BeginForgetting()
    {
        lock (_gate)
        {
            _cutPosition = long.MaxValue;
            return _position;
        }
    }

    private static SafeFileHandle Lock(string path)
    {
        try
        {
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException held) when (held.GetType() == typeof(IOException) && File.Exists(path))
        {
            throw new IOException($"The log in {Path.GetDirectoryName(path)} is in use: a node runs on it.", held);
        }
    }

    private static EntryJournal Open(string directory, int segmentSize, ILocalRecords? local, SafeFileHandle owner)
    {
        string[] paths = [.. Directory.GetFiles(directory, "*.log").Order(StringComparer.Ordinal)];
        List<JournalSegment> segments = [];
        try
        {
            for (int i = 0; i < paths.Length; i++)
            {
                if (JournalSegment.Open(paths[i], isLast: i == paths.Length - 1) is { } segment)
                {
                    segments.Add(segment);
                }
            }

            long localPosition = JournalMark.Read(Path.Combine(directory, MarkName))?.LocalPosition ?? 0;
            long lastTerm = Recover(segments, local, localPosition, directory);
            long position = segments.Count == 0 ? localPosition : segments[^1].LastPosition;

            // A process that was killed may have left in memory what it wrote last. From here on it counts as durable.
            segments.LastOrDefault()?.Sync();
            return new EntryJournal(directory, segmentSize, segments, lastTerm, position, local, owner);
        }
        catch
        {
            segments.ForEach(s => s.Dispose());
            throw;
        }
    }

    // Drops what stands before the mark. If the mark is a snapshot's, nothing that the log held belongs to what follows it.
    private void SetEnds(JournalMark mark, bool isInstalled)
    {
        int obsolete = isInstalled || (_segments.Count > 0 && _segments[^1].LastIndex < mark.Index)
            ? _segments.Count
            : Math.Min(_segments.Count - 1, _segments.FindIndex(s => s.LastIndex > mark.Index || s == _segments[^1]));
        List<JournalSegment> forgotten = TakeFirst(Math.Max(obsolete, 0));
        if (forgotten.Exists(s => s.HasLocal))
        {
            _local?.MakeDurable();
        }

        forgotten.Reverse();
        forgotten.ForEach(s => s.Delete());
        File.Delete(Path.Combine(_directory, InstallingName)); // Last: until then a start would do this again.
        Fsync.Directory(_directory);
        lock (_gate)
        {
            _mark = mark;
            _lastTerm = _segments.Count == 0 ? mark.Term : Math.Max(_lastTerm, mark.Term);
            _lastIndex = _segments.Count == 0 ? mark.Index : _segments[^1].LastIndex;
            _durableIndex = _lastIndex;
        }
    }

    private static long Recover(List<JournalSegment> segments, ILocalRecords? local, long localPosition, string directory)
    {
        // What the mark says of the term before the first entry is checked by the first entry kept: terms never fall.
        long term = 0;
        for (int i = 0; i < segments.Count; i++)
        {
            if (i > 0 && segments[i].FirstPosition != segments[i - 1].LastPosition + 1)
            {
                throw new JournalException(
                    $"{directory}: records {segments[i - 1].LastPosition + 1} to {segments[i].FirstPosition - 1}, entries from {segments[i - 1].LastIndex + 1}, are missing. This node's disk counts as wiped.");
            }

            term = segments[i].Recover(term, isLast: i == segments.Count - 1, local, localPosition);
        }

        return term;
    }

    private void CheckAgainst(JournalMark mark, long stateIndex)
    {
        if (_segments.Count > 0 && _segments[0].FirstIndex > mark.Index + 1)
        {
            throw new JournalException(
                $"{_directory}: entries {mark.Index + 1} to {_segments[0].FirstIndex - 1} are missing. This node's disk counts as wiped.");
        }

        if (stateIndex < mark.Index)
        {
            throw new JournalException(
                $"The state ends at entry {stateIndex}, but {_directory} has forgotten everything up to {mark.Index}: the state's files are missing or older. This node's disk counts as wiped.");
        }

        long last = _segments.Count == 0 ? mark.Index : _segments[^1].LastIndex;
        if (stateIndex > Math.Max(last, mark.StateIndex))
        {
            throw new JournalException(
                $"The state holds entry {stateIndex}, but {_directory} ends at {last}: the log's files are missing or older. This node's disk counts as wiped.");
        }
    }

    // Positions that are cut off will be used again, by records that must not be left out when the journal is opened.
    private void ForgetPositionsAfter(long index)
    {
        long position = _segments.Find(s => s.ReachesBeyond(index))?.LastPositionWithout(index) ?? _position;
        if (_mark.LocalPosition > position)
        {
            JournalMark mark = _mark with { LocalPosition = position };
            mark.Write(Path.Combine(_directory, MarkName));
            lock (_gate)
            {
                _mark = mark;
            }
        }
    }

    // After a change that came to half of its end nothing may be written to these files any more.
    private void ChangeFiles(Action change)
    {
        lock (_files)
        {
            lock (_gate)
            {
                ThrowIfFailed();
            }

            try
            {
                change();
            }
            catch (Exception failure)
            {
                Fail(failure, []); // Before anybody else gets at the files.
                throw;
            }
        }
    }

    private List<JournalSegment> TakeFirst(int count)
    {
        lock (_gate)
        {
            List<JournalSegment> taken = _segments.GetRange(0, count);
            _segments.RemoveRange(0, count);
            return taken;
        }
    }

    private long TermOfLast(long index) =>
        index == _mark.Index ? _mark.Term
        : _memory.TryGetValue(index, out MemoryEntry? entry) ? entry.Term
        : SegmentOf(index).TermOf(index);
}
