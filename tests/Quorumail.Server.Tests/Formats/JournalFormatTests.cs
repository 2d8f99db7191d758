using Quorumail.Cluster.Journal;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Storage;
using Quorumail.Tests.Formats;

namespace Quorumail.Server.Tests.Formats;

/// <summary>The journal's segments with their records, and its mark.</summary>
public sealed class JournalFormatTests
{
    private const long Seed = 0x0123_4567_89AB_CDEF;
    private const int SegmentSize = 4096;

    private static readonly (string Name, JournalRecord Record, byte[] Payload)[] Records =
    [
        ("commands", new JournalRecord(7, 5, 2, RecordKind.Commands, 3, 6), [1, 2, 3]),
        ("local", new JournalRecord(8, 5, 0, RecordKind.Local, 9, 7), [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("configuration", new JournalRecord(9, 6, 3, RecordKind.Configuration, 1, 7), [9]),
        ("barrier", new JournalRecord(10, 7, 4, RecordKind.Commands, 0, 9), []),
    ];

    [Fact]
    public void Segments_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("journal.golden");
        using var directory = new TemporaryDirectory();
        using (var made = JournalSegment.Create(directory.Path, 7, 5, SegmentSize, null))
        {
            file.Writes("header", File.ReadAllBytes(made.Path).AsSpan(0, JournalSegment.HeaderSize));
        }

        File.Delete(Path.Combine(directory.Path, "00000000000000000007.log"));
        foreach (var (name, record, payload) in Records)
        {
            file.Holds(
                name,
                (record, payload),
                _ => Seal(record, payload),
                bytes => JournalRecord.TryRead(bytes, Seed, out var read) ? (read, bytes[JournalRecord.HeaderSize..(JournalRecord.HeaderSize + read.Length)]) : default);
        }

        var segment = new byte[SegmentSize];
        file["header"].CopyTo(segment, 0);
        BitConverter.TryWriteBytes(segment.AsSpan(24), Seed);
        var end = JournalSegment.HeaderSize;
        foreach (var (name, _, _) in Records)
        {
            file[name].CopyTo(segment, end);
            end += file[name].Length;
        }

        file.Close();
        var path = Path.Combine(directory.Path, "00000000000000000007.log");
        File.WriteAllBytes(path, segment);
        var local = new Recovered();
        using (var golden = JournalSegment.Open(path, isLast: true)!)
        {
            Assert.Equal(4, golden.Recover(1, isLast: true, local, 0));
            Assert.Equal((7, 5, 7, 10), (golden.FirstPosition, golden.FirstIndex, golden.LastIndex, golden.LastPosition));
            Assert.Equal((RecordKind.Commands, "010203"), (golden.Read(5).Kind, Convert.ToHexString(golden.Read(5).Payload)));
            Assert.Equal((RecordKind.Configuration, "09"), (golden.Read(6).Kind, Convert.ToHexString(golden.Read(6).Payload)));
            Assert.Equal([6], golden.Configurations);
        }

        Assert.Equal(["010203040506070809"], local.Seen);

        // The version is the last octet of the magic number.
        segment[7]++;
        File.WriteAllBytes(path, segment);
        Assert.Contains("a version that this program does not read", Assert.Throws<JournalException>(() => JournalSegment.Open(path, isLast: true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_mark_is_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("journal-mark.golden");
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "mark");
        var mark = new JournalMark(5, 2, 1_700_000_000_000, 6) { LocalPosition = 9 };
        mark.Write(path);
        file.Writes("mark", File.ReadAllBytes(path));
        File.WriteAllBytes(path, file["mark"]);
        Assert.Equal(mark, JournalMark.Read(path));
        file.Close();

        var later = File.ReadAllBytes(path);
        later[0]++;
        File.WriteAllBytes(path, later);
        Assert.Contains("a version that this program does not read", Assert.Throws<JournalException>(() => JournalMark.Read(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bodies_in_it_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("journal-bodies.golden");
        var record = new BodyRecord();
        record.SetHead(QueueFormatTests.Id, Convert.FromHexString("0102"));
        file.Writes("head", Bytes(record));
        record.SetChunk(QueueFormatTests.Id, 0x01020304, Convert.FromHexString("03"));
        file.Writes("chunk", Bytes(record));
        BodyRecord.Read(file["chunk"], out var key, out var value);
        Assert.Equal((record.Key.Length, "03"), (key.Length, Convert.ToHexString(value)));
        BodyRecord.Read(file["head"], out key, out value);
        Assert.Equal((Convert.ToHexString(QueueFormatTests.Id.ToBytes()), "0102"), (Convert.ToHexString(key), Convert.ToHexString(value)));
        file.Close();
    }

    private static byte[] Seal(JournalRecord record, byte[] payload)
    {
        var bytes = new byte[JournalRecord.SizeOf(payload.Length)];
        payload.CopyTo(bytes, JournalRecord.HeaderSize);
        record.Seal(bytes, Seed);
        return bytes;
    }

    private static byte[] Bytes(BodyRecord record)
    {
        var bytes = new byte[record.Length];
        record.CopyTo(bytes);
        return bytes;
    }

    private sealed class Recovered : ILocalRecords
    {
        public List<string> Seen { get; } = [];

        void ILocalRecords.Recovered(ReadOnlySpan<byte> record) => Seen.Add(Convert.ToHexString(record));

        void ILocalRecords.MakeDurable()
        {
        }
    }
}
