using Microsoft.Win32.SafeHandles;
using Quorumail.Cluster.Disk;

namespace Quorumail.Cluster.Journal;

/// <content>Opening, and what moves the journal's two ends.</content>
internal sealed partial class EntryJournal
{
    /// <summary>Opens a journal, or founds it, and checks every record that it holds.</summary>
    /// <param name="directory">Of the journal alone; created if it does not exist.</param>
    /// <param name="segmentSize">Bytes of a file.</param>
    /// <param name="stateIndex">Entry up to which the state is; settles a snapshot whose installation was interrupted.</param>
    /// <exception cref="JournalException">The files contradict each other or the state.</exception>
    /// <exception cref="IOException">Another process has it open, or the disk has failed.</exception>
    public static EntryJournal Open(string directory, int segmentSize, long stateIndex)
    {
        Directory.CreateDirectory(directory);
        Fsync.Directory(Path.GetDirectoryName(Path.GetFullPath(directory))!);
        SafeFileHandle owner = File.OpenHandle(Path.Combine(directory, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        try
        {
            return Open(directory, segmentSize, stateIndex, owner);
        }
        catch
        {
            owner.Dispose();
            throw;
        }
    }

    /// <summary>Forgets everything up to a mark; the state must hold it durably. Whole files only are given up.</summary>
    public void Forget(JournalMark mark)
    {
        lock (_files)
        {
            if (mark.Index <= _mark.Index)
            {
                return;
            }

            mark.Write(Path.Combine(_directory, MarkName));
            List<JournalSegment> forgotten = [];
            lock (_gate)
            {
                _mark = mark;
                while (_segments.Count > 1 && _segments[0].LastIndex <= mark.Index)
                {
                    forgotten.Add(_segments[0]);
                    _segments.RemoveAt(0);
                }
            }

            foreach (JournalSegment segment in forgotten)
            {
                segment.Dispose();
                _pool.Recycle(segment.Path);
            }
        }
    }

    /// <summary>Cuts off everything after an index, durably, because another leader's entries take its place.</summary>
    public void TruncateAfter(long index)
    {
        lock (_files)
        {
            List<JournalSegment> cut = [];
            lock (_gate)
            {
                if (index >= _lastIndex)
                {
                    return;
                }

                _toWrite.RemoveAll(e => e.Index > index);
                while (_segments.Count > 0 && _segments[^1].FirstIndex > index)
                {
                    cut.Add(_segments[^1]);
                    _segments.RemoveAt(_segments.Count - 1);
                }
            }

            // Later files first, so that no crash leaves a gap.
            cut.ForEach(s => s.Delete());
            Fsync.Directory(_directory);
            if (_segments.Count > 0 && _segments[^1].LastIndex > index)
            {
                _segments[^1].TruncateAfter(index);
            }

            lock (_gate)
            {
                foreach (long dropped in _memory.Keys.Where(i => i > index).ToArray())
                {
                    _memory.Remove(dropped);
                }

                Volatile.Write(ref _lastIndex, index);
                Volatile.Write(ref _durableIndex, Math.Min(_durableIndex, index));
                _lastTerm = TermOfLast(index);
            }
        }
    }

    /// <summary>Announces, durably, that the state is about to be replaced by a snapshot up to a mark.</summary>
    public void PrepareRestart(JournalMark mark) => mark.Write(Path.Combine(_directory, InstallingName));

    /// <summary>Drops every entry: the state has been replaced by a snapshot up to a mark.</summary>
    public void Restart(JournalMark mark)
    {
        lock (_files)
        {
            List<JournalSegment> dropped;
            mark.Write(Path.Combine(_directory, MarkName));
            lock (_gate)
            {
                dropped = [.. _segments];
                _segments.Clear();
                _toWrite.Clear();
                _memory.Clear();
                _mark = mark;
                _lastTerm = mark.Term;
                Volatile.Write(ref _lastIndex, mark.Index);
                Volatile.Write(ref _durableIndex, mark.Index);
            }

            dropped.Reverse();
            dropped.ForEach(s => s.Delete());
            File.Delete(Path.Combine(_directory, InstallingName));
            Fsync.Directory(_directory);
        }
    }

    private static EntryJournal Open(string directory, int segmentSize, long stateIndex, SafeFileHandle owner)
    {
        JournalMark mark = SettleInstallation(directory, stateIndex);
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

            long lastTerm = Recover(segments, mark, directory);
            CheckAgainstState(segments, mark, stateIndex, directory);
            return new EntryJournal(directory, segmentSize, mark, segments, lastTerm, owner);
        }
        catch
        {
            segments.ForEach(s => s.Dispose());
            throw;
        }
    }

    private static JournalMark SettleInstallation(string directory, long stateIndex)
    {
        string markPath = Path.Combine(directory, MarkName);
        string installingPath = Path.Combine(directory, InstallingName);
        JournalMark mark = JournalMark.Read(markPath) ?? default;
        if (JournalMark.Read(installingPath) is { } installing)
        {
            if (stateIndex >= installing.StateIndex && installing.Index > mark.Index)
            {
                mark = installing;
                mark.Write(markPath);
            }

            File.Delete(installingPath);
            Fsync.Directory(directory);
        }

        return mark;
    }

    private static long Recover(List<JournalSegment> segments, JournalMark mark, string directory)
    {
        long term = 0;
        for (int i = 0; i < segments.Count; i++)
        {
            if (i > 0 && segments[i].FirstIndex != segments[i - 1].LastIndex + 1)
            {
                throw new JournalException(
                    $"{directory}: entries {segments[i - 1].LastIndex + 1} to {segments[i].FirstIndex - 1} are missing. This node's disk counts as wiped.");
            }

            term = segments[i].Recover(segments[i].FirstIndex == mark.Index + 1 ? mark.Term : term, isLast: i == segments.Count - 1);
        }

        // A snapshot was installed, and a crash kept what it replaced from being deleted.
        if (segments.Count > 0 && segments[^1].LastIndex < mark.Index)
        {
            segments.Reverse();
            segments.ForEach(s => s.Delete());
            segments.Clear();
            Fsync.Directory(directory);
        }

        if (segments.Count > 0 && segments[0].FirstIndex > mark.Index + 1)
        {
            throw new JournalException(
                $"{directory}: entries {mark.Index + 1} to {segments[0].FirstIndex - 1} are missing. This node's disk counts as wiped.");
        }

        while (segments.Count > 1 && segments[0].LastIndex <= mark.Index)
        {
            segments[0].Delete();
            segments.RemoveAt(0);
        }

        return Math.Max(term, mark.Term);
    }

    private static void CheckAgainstState(List<JournalSegment> segments, JournalMark mark, long stateIndex, string directory)
    {
        if (stateIndex < mark.Index)
        {
            throw new JournalException(
                $"The state ends at entry {stateIndex}, but {directory} has forgotten everything up to {mark.Index}: the state's files are missing or older. This node's disk counts as wiped.");
        }

        long last = segments.Count == 0 ? mark.Index : segments[^1].LastIndex;
        if (stateIndex > Math.Max(last, mark.StateIndex))
        {
            throw new JournalException(
                $"The state holds entry {stateIndex}, but {directory} ends at {last}: the log's files are missing or older. This node's disk counts as wiped.");
        }
    }

    private long TermOfLast(long index) =>
        index == _mark.Index ? _mark.Term
        : _memory.TryGetValue(index, out MemoryEntry? entry) ? entry.Term
        : SegmentOf(index).TermOf(index);
}
