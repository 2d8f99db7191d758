using System.Diagnostics;
using System.Text;
using CsCheck;
using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Tests.Journal;

public sealed partial class EntryJournalTests : IDisposable
{
    private const int SegmentSize = 64 << 10;

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task What_was_durable_is_read_after_a_restart()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 300);
            Assert.Equal(300, journal.DurableIndex);
        }

        using EntryJournal again = Open();
        AssertHolds(again, 1, 300);
        Assert.Equal(1, again.TermOf(300));
        Assert.True(again.Size.Files > 1, "several segments");
    }

    [Fact]
    public async Task A_torn_tail_is_dropped_and_what_was_before_it_survives()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 20);
        }

        byte[] original = await File.ReadAllBytesAsync(LastSegment(), Token);
        int end = original.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        int lastRecord = JournalRecord.SizeOf(Payload(20).Length);
        for (int lost = 1; lost < lastRecord - 8; lost += 7)
        {
            byte[] torn = [.. original];
            torn.AsSpan(end - lost).Clear();
            await File.WriteAllBytesAsync(LastSegment(), torn, Token);

            using EntryJournal again = Open();
            AssertHolds(again, 1, 19);
            Assert.Equal(20, again.Append(2, RecordKind.Commands, Payload(20)));
        }
    }

    [Fact]
    public async Task A_torn_record_does_not_bring_back_what_was_written_behind_it()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 5);
        }

        // Three records of one batch, of which the disk has lost the first.
        byte[] bytes = await File.ReadAllBytesAsync(LastSegment(), Token);
        int size = JournalRecord.SizeOf(Payload(1).Length);
        for (int i = 7; i <= 8; i++)
        {
            Span<byte> record = bytes.AsSpan(JournalSegment.HeaderSize + ((i - 1) * size), size);
            Payload(i).CopyTo(record[JournalRecord.HeaderSize..]);
            new JournalRecord(i, i, 1, RecordKind.Commands, Payload(i).Length, 5).Seal(record, JournalSegment.ReadSeed(bytes));
        }

        await File.WriteAllBytesAsync(LastSegment(), bytes, Token);
        using (EntryJournal again = Open(stateIndex: 5))
        {
            Assert.Equal(5, again.LastIndex);
            again.Append(2, RecordKind.Commands, Payload(6));
            await again.WaitDurableAsync(6);
        }

        using EntryJournal third = Open();
        AssertHolds(third, 1, 6);
    }

    [Fact]
    public async Task A_record_destroyed_after_it_was_durable_is_reported_and_not_taken_for_a_torn_tail()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 20);
        }

        Damage(7);

        JournalException report = Assert.Throws<JournalException>(() => Open());
        Assert.Contains("record 7, after entry 6, was durable and is damaged", report.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_log_whose_terms_fall_is_detected_at_start()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 5, 3);
        }

        byte[] bytes = await File.ReadAllBytesAsync(LastSegment(), Token);
        int offset = JournalSegment.HeaderSize + (2 * JournalRecord.SizeOf(Payload(1).Length));
        new JournalRecord(3, 3, 4, RecordKind.Commands, Payload(3).Length, 2)
            .Seal(bytes.AsSpan(offset, JournalRecord.SizeOf(Payload(3).Length)), JournalSegment.ReadSeed(bytes));
        await File.WriteAllBytesAsync(LastSegment(), bytes, Token);

        JournalException report = Assert.Throws<JournalException>(() => Open());
        Assert.Contains("the term falls from 5 to 4 at entry 3", report.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cut_tail_never_comes_back()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 200);
            journal.TruncateAfter(50);
            Assert.Equal(50, journal.LastIndex);
            Assert.Equal(51, journal.Append(2, RecordKind.Commands, Payload(51)));
            await journal.WaitDurableAsync(51);
        }

        using EntryJournal again = Open();
        AssertHolds(again, 1, 51);
        Assert.Equal(2, again.TermOf(51));
    }

    [Fact]
    public async Task Forgetting_deletes_whole_files_and_survives_a_restart()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 400);
            int files = journal.Size.Files;
            journal.Forget(new JournalMark(390, 1, 1234, 400), journal.Position);
            Assert.True(journal.Size.Files < files);
            AssertHolds(journal, 391, 400);
        }

        using EntryJournal again = Open(stateIndex: 400);
        Assert.Equal(new JournalMark(390, 1, 1234, 400), again.Mark with { LocalPosition = 0 });
        AssertHolds(again, 391, 400);
        Assert.Equal(1, again.TermOf(390));
    }

    [Fact]
    public async Task A_state_or_a_log_that_is_missing_is_reported()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 100);
            journal.Forget(new JournalMark(60, 1, 1, 60), journal.Position);
        }

        Assert.Contains("the state's files are missing", Assert.Throws<JournalException>(() => Open(stateIndex: 10)).Message, StringComparison.Ordinal);
        Assert.Contains("the log's files are missing", Assert.Throws<JournalException>(() => Open(stateIndex: 101)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_segment_is_reported()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 600);
            Assert.True(journal.Size.Files >= 3);
        }

        File.Delete(Segments()[1]);

        Assert.Contains("are missing", Assert.Throws<JournalException>(() => Open()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Nothing_of_the_old_log_follows_a_snapshot_whose_installation_was_interrupted(bool isMarked)
    {
        Notes notes = new();
        JournalMark mark = new(10, 3, 9, 15);
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 5, 20); // Of a leader that is gone; of another leader's entries the snapshot stands for the first 10.
            await NoteAsync(journal, 1);
            journal.PrepareRestart(mark);
        }

        if (isMarked)
        {
            mark.Write(_directory["mark"]); // As far as that it came before the crash.
        }

        using (EntryJournal again = Open(stateIndex: 15, notes))
        {
            Assert.Equal(10, again.LastIndex);
            Assert.Equal(3, again.TermOf(10));
            Assert.Equal(1, notes.Calls);
            Assert.Equal(11, again.Append(4, RecordKind.Commands, Payload(11)));
            await again.WaitDurableAsync(11);
        }

        using EntryJournal third = Open(stateIndex: 15);
        Assert.Equal(11, third.LastIndex);
        Assert.Equal(4, third.TermOf(11));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_interrupted_installation_of_a_snapshot_is_settled_by_what_the_state_holds(bool loaded)
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 20);
            journal.PrepareRestart(new JournalMark(500, 3, 9, 510));
        }

        using EntryJournal again = Open(stateIndex: loaded ? 510 : 20);
        Assert.Equal(loaded ? 500 : 20, again.LastIndex);
        Assert.Equal(loaded ? 3 : 1, again.TermOf(again.LastIndex));
        Assert.Equal(again.LastIndex + 1, again.Append(3, RecordKind.Commands, Payload(1)));
    }

    [Fact]
    public async Task A_segment_whose_creation_was_interrupted_is_no_damage()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 20);
        }

        await File.WriteAllBytesAsync(_directory["00000000000000000021.log"], new byte[SegmentSize], Token);

        using EntryJournal again = Open();
        AssertHolds(again, 1, 20);
        await AppendAsync(again, 1, 400, from: 21);
        AssertHolds(again, 1, 400);
    }

    [Fact]
    public async Task A_disk_that_fails_fails_who_waits_and_who_comes()
    {
        EntryJournal journal = Open();
        await AppendAsync(journal, 1, 5);
        Directory.Delete(_directory.Path, recursive: true);

        // The next segment can't be created.
        byte[] large = new byte[SegmentSize - 100];
        journal.Append(1, RecordKind.Commands, large);
        await Assert.ThrowsAnyAsync<IOException>(() => journal.WaitDurableAsync(6));

        Assert.NotNull(await journal.Failed);
        Assert.ThrowsAny<IOException>(() => { journal.Append(1, RecordKind.Commands, large); });
        journal.Dispose();
        Directory.CreateDirectory(_directory.Path);
    }

    [Fact]
    public async Task A_tail_that_can_not_be_cut_fails_the_journal()
    {
        using EntryJournal journal = Open();
        await AppendAsync(journal, 1, 400);
        string elsewhere = _directory.Path + "-elsewhere"; // No file of it is found by its name.
        Directory.Move(_directory.Path, elsewhere);

        Assert.ThrowsAny<IOException>(() => journal.TruncateAfter(50));

        Assert.NotNull(await journal.Failed.WaitAsync(TimeSpan.FromSeconds(20), Token));
        Assert.ThrowsAny<IOException>(() => { journal.Append(2, RecordKind.Commands, Payload(51)); });
        Assert.ThrowsAny<IOException>(() => journal.TruncateAfter(40));
        Directory.Move(elsewhere, _directory.Path);
    }

    [Fact]
    public async Task What_an_earlier_life_has_written_last_is_synced_before_it_counts_as_durable()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/strace"), "strace, which sees what is synced, is not installed.");
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 400);
        }

        string trace = _directory["trace"];
        ProcessStartInfo start = new("/usr/bin/strace", ["-f", "-y", "-o", trace, "-e", "trace=fdatasync", Environment.ProcessPath!, "open-journal", _directory.Path]);
        using Process process = Process.Start(start)!;
        await process.WaitForExitAsync(Token);

        Assert.Equal(0, process.ExitCode);
        Assert.Contains(await File.ReadAllLinesAsync(trace, Token), line => line.Contains("fdatasync(", StringComparison.Ordinal) && line.Contains(LastSegment(), StringComparison.Ordinal));
    }

    [Fact]
    public async Task Whether_an_entry_is_durable_is_known_whatever_is_cut_or_forgotten()
    {
        using EntryJournal journal = Open();
        await AppendAsync(journal, 1, 200);
        Assert.True(journal.IsDurable(150, 1));
        Assert.False(journal.IsDurable(150, 2));
        journal.TruncateAfter(100);
        Assert.False(journal.IsDurable(150, 1));
        journal.Restart(new JournalMark(300, 2, 1, 300));
        Assert.False(journal.IsDurable(150, 1));
        Assert.True(journal.IsDurable(300, 2));
        Assert.False(journal.IsDurable(301, 2));
    }

    [Fact]
    public void A_journal_is_open_once()
    {
        using (Open())
        {
            Assert.Throws<IOException>(() => Open());
        }

        Open().Dispose();
    }

    [Fact]
    public void A_record_survives_only_unchanged() =>
        Gen.Select(Gen.Byte.Array[0, 200], Gen.Int[0, 1000], Gen.Byte[1, 255]).Sample((payload, at, change) =>
        {
            byte[] bytes = new byte[JournalRecord.SizeOf(payload.Length)];
            payload.CopyTo(bytes, JournalRecord.HeaderSize);
            new JournalRecord(9, 7, 3, RecordKind.Commands, payload.Length, 6).Seal(bytes, seed: 77);
            Assert.True(JournalRecord.TryRead(bytes, 77, out JournalRecord record));
            Assert.Equal(new JournalRecord(9, 7, 3, RecordKind.Commands, payload.Length, 6), record);
            Assert.False(JournalRecord.TryRead(bytes, 78, out _));
            bytes[at % (JournalRecord.HeaderSize + payload.Length)] ^= change;
            Assert.False(JournalRecord.TryRead(bytes, 77, out _));
        });

    private static byte[] Payload(long index) => Encoding.ASCII.GetBytes($"entry {index:D10} {new string('x', 260)}");

    private static async Task AppendAsync(EntryJournal journal, long term, int last, int from = 1)
    {
        for (int i = from; i <= last; i++)
        {
            Assert.Equal(i, journal.Append(term, RecordKind.Commands, Payload(i)));
            await journal.WaitDurableAsync(i);
            journal.Release(i);
        }
    }

    private static void AssertHolds(EntryJournal journal, int first, int last)
    {
        Assert.Equal(last, journal.LastIndex);
        for (int i = first; i <= last; i++)
        {
            Assert.Equal(Payload(i), journal.Read(i).Payload.ToArray());
        }
    }

    private EntryJournal Open(long stateIndex = 0, ILocalRecords? local = null)
    {
        EntryJournal journal = EntryJournal.Open(_directory.Path, SegmentSize, local);
        try
        {
            journal.Begin(stateIndex);
            return journal;
        }
        catch
        {
            journal.Dispose();
            throw;
        }
    }

    private string[] Segments() => [.. Directory.GetFiles(_directory.Path, "*.log").Order(StringComparer.Ordinal)];

    private string LastSegment() => Segments()[^1];

    private void Damage(int index)
    {
        byte[] bytes = File.ReadAllBytes(Segments()[0]);
        int at = bytes.AsSpan().IndexOf(Payload(index));
        bytes[at + 20] ^= 0xFF;
        File.WriteAllBytes(Segments()[0], bytes);
    }
}
