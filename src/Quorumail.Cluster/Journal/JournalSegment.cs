using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Quorumail.Cluster.Disk;

namespace Quorumail.Cluster.Journal;

/// <summary>
/// One file of the journal: a header (8 bytes magic and version, position of its first record, index of its first entry,
/// seed of its checksums, 8 bytes each, little-endian), then records without gaps, then zeros or what an earlier use of
/// the file has left.
/// </summary>
internal sealed class JournalSegment : IDisposable
{
    public const int HeaderSize = 32;

    private const ulong Magic = 0x02_00_4C_4E_52_4A_4D_51; // "QMJRNL", version 2

    private readonly SafeFileHandle _file;
    private readonly List<Place> _places = [];
    private readonly List<long> _configurations = [];

    private JournalSegment(string path, SafeFileHandle file, long firstPosition, long firstIndex, long seed)
    {
        Seed = seed;
        Path = path;
        _file = file;
        FirstIndex = firstIndex;
        FirstPosition = firstPosition;
        LastPosition = firstPosition - 1;
        End = HeaderSize;
    }

    public string Path { get; }

    /// <summary>Of the checksums of its records.</summary>
    public long Seed { get; }

    /// <summary>Index of the first entry, should there be one.</summary>
    public long FirstIndex { get; }

    /// <summary>Index of the last entry written; <see cref="FirstIndex"/> - 1 if there is none.</summary>
    public long LastIndex => FirstIndex + _places.Count - 1;

    public long FirstPosition { get; }

    /// <summary>Position of the last record written, of any kind.</summary>
    public long LastPosition { get; private set; }

    /// <summary>Whether there are records that are no entries.</summary>
    public bool HasLocal => LastPosition - FirstPosition + 1 > _places.Count;

    /// <summary>Indexes of the entries that set the members.</summary>
    public IReadOnlyList<long> Configurations => _configurations;

    /// <summary>Offset at which the next record goes.</summary>
    public int End { get; private set; }

    /// <summary>Creates a segment, durably.</summary>
    /// <param name="directory">Of the journal.</param>
    /// <param name="firstPosition">Position of the first record.</param>
    /// <param name="firstIndex">Index of the first entry.</param>
    /// <param name="size">Bytes of a file.</param>
    /// <param name="spare">A file of that size, whose contents don't matter; if there is none, one is made.</param>
    public static JournalSegment Create(string directory, long firstPosition, long firstIndex, int size, string? spare)
    {
        string path = System.IO.Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{firstPosition:D20}.log"));
        if (spare is not null)
        {
            // Under its new name before it gets its new header: a header that does not fit the name is an interrupted creation.
            File.Move(spare, path);
            Fsync.Directory(directory);
        }

        SafeFileHandle file = File.OpenHandle(
            path, spare is null ? FileMode.Create : FileMode.Open, FileAccess.ReadWrite, FileShare.Read, FileOptions.None, spare is null ? size : 0);
        try
        {
            if (spare is null)
            {
                SegmentPool.Fill(file, size, CancellationToken.None);
            }

            Span<byte> header = stackalloc byte[HeaderSize];
            RandomNumberGenerator.Fill(header);
            BinaryPrimitives.WriteUInt64LittleEndian(header, Magic);
            BinaryPrimitives.WriteInt64LittleEndian(header[8..], firstPosition);
            BinaryPrimitives.WriteInt64LittleEndian(header[16..], firstIndex);
            RandomAccess.Write(file, header, 0);
            Fsync.File(file);
            Fsync.Directory(directory);
            return new JournalSegment(path, file, firstPosition, firstIndex, BinaryPrimitives.ReadInt64LittleEndian(header[24..]));
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
        long firstPosition = BinaryPrimitives.ReadInt64LittleEndian(header[8..]);
        bool isOurs = read == HeaderSize && BinaryPrimitives.ReadUInt64LittleEndian(header) == Magic;
        if (isOurs && Name(path) == firstPosition)
        {
            return new JournalSegment(
                path, file, firstPosition, BinaryPrimitives.ReadInt64LittleEndian(header[16..]), BinaryPrimitives.ReadInt64LittleEndian(header[24..]));
        }

        // A file that is used again still has its old header, with an earlier position, for a moment.
        bool isInterrupted = isLast && ((isOurs && firstPosition < Name(path)) || !ContainsData(file, 0));
        file.Dispose();
        if (!isInterrupted)
        {
            throw new JournalException($"{path} is damaged or of a version that this program does not read.");
        }

        File.Delete(path);
        return null;
    }

    /// <summary>Reads all records, checks that positions and indexes rise by one and terms never fall, and returns the last term.</summary>
    /// <param name="precedingTerm">Term of the entry before the first.</param>
    /// <param name="isLast">Whether a torn tail is to be expected; it is erased, durably.</param>
    /// <param name="local">Told of local records.</param>
    /// <param name="localPosition">But not of those up to here.</param>
    public long Recover(long precedingTerm, bool isLast, ILocalRecords? local, long localPosition)
    {
        byte[] bytes = new byte[RandomAccess.GetLength(_file)];
        ReadFully(bytes, 0);
        long term = precedingTerm;
        while (JournalRecord.TryRead(bytes.AsSpan(End), Seed, out JournalRecord record) && record.Position == LastPosition + 1)
        {
            if (record.Kind == RecordKind.Local)
            {
                (record.Position > localPosition ? local : null)?.Recovered(bytes.AsSpan(End + JournalRecord.HeaderSize, record.Length));
            }
            else if (record.Index != LastIndex + 1)
            {
                throw new JournalException($"{Path}: entry {record.Index} follows entry {LastIndex}. This node's disk counts as wiped.");
            }
            else if (record.Term < term)
            {
                throw new JournalException(
                    $"{Path}: the term falls from {term} to {record.Term} at entry {record.Index}: an overwrite was interrupted. This node's disk counts as wiped.");
            }
            else
            {
                term = record.Term;
            }

            Add(record.Kind, record.Term, record.Length);
        }

        CheckTail(bytes, isLast);
        return term;
    }

    /// <summary>Notes a record that has been, or is about to be, written at <see cref="End"/>.</summary>
    public void Add(RecordKind kind, long term, int length)
    {
        if (kind != RecordKind.Local)
        {
            _places.Add(new Place(End, length, term, LastPosition + 1));
            if (kind == RecordKind.Configuration)
            {
                _configurations.Add(LastIndex);
            }
        }

        LastPosition++;
        End += JournalRecord.SizeOf(length);
    }

    /// <summary>Writes records at an offset; they are not durable before <see cref="Sync"/>.</summary>
    public void Write(IReadOnlyList<ReadOnlyMemory<byte>> records, int offset) => RandomAccess.Write(_file, records, offset);

    /// <summary>Makes what was written durable.</summary>
    public void Sync() => Fsync.Data(_file);

    public long TermOf(long index) => _places[(int)(index - FirstIndex)].Term;

    /// <summary>Whether entries after an index, or records that came after it, stand here.</summary>
    public bool ReachesBeyond(long index) => Math.Max(FirstIndex, LastIndex) > index;

    /// <summary>Position of the last record that is left when everything after an entry is cut; if that is the whole segment, of the one before it.</summary>
    public long LastPositionWithout(long index) =>
        FirstIndex > index ? FirstPosition - 1
        : LastIndex > index ? _places[(int)(index + 1 - FirstIndex)].Position - 1
        : LastPosition;

    public int LengthOf(long index) => _places[(int)(index - FirstIndex)].Length;

    /// <summary>Reads an entry's payload, checking it again.</summary>
    public (RecordKind Kind, byte[] Payload) Read(long index)
    {
        Place place = _places[(int)(index - FirstIndex)];
        byte[] bytes = new byte[JournalRecord.HeaderSize + place.Length];
        ReadFully(bytes, place.Offset);
        return JournalRecord.TryRead(bytes, Seed, out JournalRecord record) && record.Index == index
            ? (record.Kind, bytes[JournalRecord.HeaderSize..])
            : throw new JournalException($"{Path}: entry {index} is damaged.");
    }

    /// <summary>Knows nothing any more of what comes after an entry; the file holds it until <see cref="Erase"/>.</summary>
    public void TruncateAfter(long index)
    {
        int count = (int)(index - FirstIndex + 1);
        End = _places[count].Offset;
        LastPosition = _places[count].Position - 1;
        _places.RemoveRange(count, _places.Count - count);
        _configurations.RemoveAll(i => i > index);
    }

    /// <summary>Erases everything after <see cref="End"/>, durably: it must never be read again, for a later record could end where an old one begins.</summary>
    public void Erase()
    {
        long size = RandomAccess.GetLength(_file);
        RandomAccess.SetLength(_file, End);
        Fsync.File(_file);
        RandomAccess.SetLength(_file, Math.Max(size, End));
        Fsync.File(_file);
    }

    public void Delete()
    {
        _file.Dispose();
        File.Delete(Path);
    }

    public void Dispose() => _file.Dispose();

    /// <summary>The seed out of a segment's bytes; zero if there is none.</summary>
    public static long ReadSeed(ReadOnlySpan<byte> segment) =>
        segment.Length < HeaderSize ? 0 : BinaryPrimitives.ReadInt64LittleEndian(segment[24..]);

    private static long Name(string path) =>
        long.TryParse(System.IO.Path.GetFileNameWithoutExtension(path), NumberStyles.None, CultureInfo.InvariantCulture, out long name) ? name : -1;

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
        bool isTorn = false;

        // Records are 8-aligned. One that was written when a lost one was already durable proves that it was destroyed later.
        for (int offset = 0; offset + JournalRecord.HeaderSize <= tail.Length; offset += 8)
        {
            int zeros = tail[offset..].IndexOfAnyExcept((byte)0);
            if (zeros < 0)
            {
                break;
            }

            offset += zeros / 8 * 8;
            if (!JournalRecord.TryRead(tail[offset..], Seed, out JournalRecord record) || record.Position <= LastPosition)
            {
                continue; // An earlier use of the file, or nothing.
            }

            isTorn = true;
            if (record.Durable > LastPosition)
            {
                throw new JournalException(
                    $"{Path}: record {LastPosition + 1}, after entry {LastIndex}, was durable and is damaged (record {record.Position} after it is readable). This node's disk counts as wiped.");
            }
        }

        if (isTorn && !isLast)
        {
            throw new JournalException($"{Path}: record {LastPosition + 1} is damaged, and later segments exist. This node's disk counts as wiped.");
        }

        if (isTorn)
        {
            Erase();
        }
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

    private readonly record struct Place(int Offset, int Length, long Term, long Position);
}
