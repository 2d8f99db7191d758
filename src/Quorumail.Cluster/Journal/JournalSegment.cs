using System.Buffers.Binary;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Quorumail.Cluster.Disk;

namespace Quorumail.Cluster.Journal;

/// <summary>
/// One file of the journal: a header (8 bytes magic and version, 8 bytes index of its first entry, little-endian), then
/// records without gaps, then zeros up to its full size.
/// </summary>
internal sealed class JournalSegment : IDisposable
{
    public const int HeaderSize = 16;

    private const ulong Magic = 0x01_00_4C_4E_52_4A_4D_51; // "QMJRNL", version 1

    private readonly SafeFileHandle _file;
    private readonly List<Place> _places = [];

    private JournalSegment(string path, SafeFileHandle file, long firstIndex)
    {
        Path = path;
        _file = file;
        FirstIndex = firstIndex;
        End = HeaderSize;
    }

    public string Path { get; }

    public long FirstIndex { get; }

    /// <summary>Index of the last entry written; <see cref="FirstIndex"/> - 1 if there is none.</summary>
    public long LastIndex => FirstIndex + _places.Count - 1;

    /// <summary>Offset at which the next record goes.</summary>
    public int End { get; private set; }

    /// <summary>Creates a segment whose first entry will be <paramref name="firstIndex"/>, durably, of a file of zeros.</summary>
    /// <param name="directory">Of the journal.</param>
    /// <param name="firstIndex">Index of the first entry.</param>
    /// <param name="size">Bytes of a file.</param>
    /// <param name="spare">A file of that size that is full of zeros; if there is none, one is made.</param>
    public static JournalSegment Create(string directory, long firstIndex, int size, string? spare)
    {
        string path = System.IO.Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{firstIndex:D20}.log"));
        if (spare is not null)
        {
            File.Move(spare, path);
        }

        SafeFileHandle file = File.OpenHandle(
            path, spare is null ? FileMode.Create : FileMode.Open, FileAccess.ReadWrite, FileShare.Read, FileOptions.None, spare is null ? size : 0);
        try
        {
            if (spare is null)
            {
                SegmentPool.Fill(file, size);
            }

            Span<byte> header = stackalloc byte[HeaderSize];
            BinaryPrimitives.WriteUInt64LittleEndian(header, Magic);
            BinaryPrimitives.WriteInt64LittleEndian(header[8..], firstIndex);
            RandomAccess.Write(file, header, 0);
            Fsync.File(file);
            Fsync.Directory(directory);
            return new JournalSegment(path, file, firstIndex);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Opens a segment without reading its records; nothing if its creation was interrupted, and the file is gone then.</summary>
    public static JournalSegment? Open(string path, bool isLast)
    {
        SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
        Span<byte> header = stackalloc byte[HeaderSize];
        int read = RandomAccess.Read(file, header, 0);
        long firstIndex = BinaryPrimitives.ReadInt64LittleEndian(header[8..]);
        if (read == HeaderSize && BinaryPrimitives.ReadUInt64LittleEndian(header) == Magic
            && string.Equals(System.IO.Path.GetFileNameWithoutExtension(path), firstIndex.ToString("D20", CultureInfo.InvariantCulture), StringComparison.Ordinal))
        {
            return new JournalSegment(path, file, firstIndex);
        }

        bool isEmpty = isLast && !ContainsData(file, 0);
        file.Dispose();
        if (!isEmpty)
        {
            throw new JournalException($"{path} is damaged or of a version that this program does not read.");
        }

        File.Delete(path);
        return null;
    }

    /// <summary>Reads all records, checks that indexes rise by one and terms never fall, and returns the last term.</summary>
    /// <param name="precedingTerm">Term of the entry before the first.</param>
    /// <param name="isLast">Whether a torn tail is to be expected; it is erased, durably.</param>
    public long Recover(long precedingTerm, bool isLast)
    {
        byte[] bytes = new byte[RandomAccess.GetLength(_file)];
        ReadFully(bytes, 0);
        long term = precedingTerm;
        while (JournalRecord.TryRead(bytes.AsSpan(End), out JournalRecord record) && record.Index == LastIndex + 1)
        {
            if (record.Term < term)
            {
                throw new JournalException(
                    $"{Path}: the term falls from {term} to {record.Term} at entry {record.Index}: an overwrite was interrupted. This node's disk counts as wiped.");
            }

            term = record.Term;
            Add(record.Term, record.Length);
        }

        CheckTail(bytes, isLast);
        return term;
    }

    /// <summary>Notes a record that has been, or is about to be, written at <see cref="End"/>.</summary>
    public void Add(long term, int length)
    {
        _places.Add(new Place(End, length, term));
        End += JournalRecord.SizeOf(length);
    }

    /// <summary>Writes records at an offset; they are not durable before <see cref="Sync"/>.</summary>
    public void Write(IReadOnlyList<ReadOnlyMemory<byte>> records, int offset) => RandomAccess.Write(_file, records, offset);

    /// <summary>Makes what was written durable.</summary>
    public void Sync() => Fsync.Data(_file);

    public long TermOf(long index) => _places[(int)(index - FirstIndex)].Term;

    public int LengthOf(long index) => _places[(int)(index - FirstIndex)].Length;

    /// <summary>Reads an entry's payload, checking it again.</summary>
    public (RecordKind Kind, byte[] Payload) Read(long index)
    {
        Place place = _places[(int)(index - FirstIndex)];
        byte[] bytes = new byte[JournalRecord.HeaderSize + place.Length];
        ReadFully(bytes, place.Offset);
        return JournalRecord.TryRead(bytes, out JournalRecord record) && record.Index == index
            ? (record.Kind, bytes[JournalRecord.HeaderSize..])
            : throw new JournalException($"{Path}: entry {index} is damaged.");
    }

    /// <summary>Erases everything after an entry, durably.</summary>
    public void TruncateAfter(long index)
    {
        int count = (int)(index - FirstIndex + 1);
        End = _places[count].Offset;
        _places.RemoveRange(count, _places.Count - count);
        Erase();
    }

    public void Delete()
    {
        _file.Dispose();
        File.Delete(Path);
    }

    public void Dispose() => _file.Dispose();

    private static bool ContainsData(SafeFileHandle file, long offset)
    {
        byte[] bytes = new byte[64 << 10];
        for (int read; (read = RandomAccess.Read(file, bytes, offset)) > 0; offset += read)
        {
            if (bytes.AsSpan(0, read).ContainsAnyExcept((byte)0))
            {
                return true;
            }
        }

        return false;
    }

    private void CheckTail(byte[] bytes, bool isLast)
    {
        ReadOnlySpan<byte> tail = bytes.AsSpan(End);
        if (!tail.ContainsAnyExcept((byte)0))
        {
            return;
        }

        // Records are 8-aligned. One that was appended when a lost entry was already durable proves that it was destroyed later.
        for (int offset = 0; offset + JournalRecord.HeaderSize <= tail.Length; offset += 8)
        {
            if (JournalRecord.TryRead(tail[offset..], out JournalRecord record) && record.Durable > LastIndex)
            {
                throw new JournalException(
                    $"{Path}: entry {LastIndex + 1} was durable and is damaged (entry {record.Index} after it is readable). This node's disk counts as wiped.");
            }
        }

        if (!isLast)
        {
            throw new JournalException($"{Path}: entry {LastIndex + 1} is damaged, and later segments exist. This node's disk counts as wiped.");
        }

        Erase();
    }

    // What is cut off must never be read again: a later record could end where an old one begins.
    private void Erase()
    {
        long size = RandomAccess.GetLength(_file);
        RandomAccess.SetLength(_file, End);
        Fsync.File(_file);
        RandomAccess.SetLength(_file, Math.Max(size, End));
        Fsync.File(_file);
    }

    private void ReadFully(Span<byte> destination, long offset)
    {
        while (!destination.IsEmpty)
        {
            int read = RandomAccess.Read(_file, destination, offset);
            if (read == 0)
            {
                throw new JournalException($"{Path} ends at {offset}, before what it should hold.");
            }

            destination = destination[read..];
            offset += read;
        }
    }

    private readonly record struct Place(int Offset, int Length, long Term);
}
