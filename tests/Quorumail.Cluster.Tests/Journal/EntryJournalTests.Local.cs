using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Tests.Journal;

/// <content>Records of this node alone beside the entries.</content>
public sealed partial class EntryJournalTests
{
    [Fact]
    public async Task An_entry_vouches_for_the_local_records_before_it()
    {
        using (EntryJournal journal = Open())
        {
            for (int i = 1; i <= 400; i++)
            {
                journal.Append(new Note(Payload(1000 + i)));
                journal.Append(1, RecordKind.Commands, Payload(i));
            }

            await journal.WaitDurableAsync(400);
        }

        Notes notes = new();
        using EntryJournal again = Open(local: notes);
        AssertHolds(again, 1, 400);
        Assert.Equal(Enumerable.Range(1001, 400).Select(i => Payload(i)), notes.Found);
    }

    [Fact]
    public async Task A_local_record_is_told_when_it_is_on_the_disk()
    {
        Note note = new(Payload(1));
        using (EntryJournal journal = Open())
        {
            journal.Append(new Note(Payload(0), needsSync: false));
            journal.Append(note);
            Assert.Null(await note.Outcome);
            Assert.Equal(0, journal.LastIndex);
            Assert.Equal(1, journal.Append(1, RecordKind.Commands, Payload(1)));
        }

        Notes notes = new();
        using EntryJournal again = Open(local: notes);
        AssertHolds(again, 1, 1);
        Assert.Equal([Payload(0), Payload(1)], notes.Found);
    }

    [Fact]
    public async Task A_file_with_local_records_that_are_durable_nowhere_else_is_kept()
    {
        Notes notes = new();
        using (EntryJournal journal = Open(local: notes))
        {
            await AppendAsync(journal, 1, 10);
            long position = journal.Position;
            for (int i = 0; i < 1000; i++)
            {
                journal.Append(new Note(Payload(1000 + i)));
            }

            await AppendAsync(journal, 1, 20, from: 11);
            journal.Forget(new JournalMark(20, 1, 1, 20), position);
        }

        using EntryJournal again = Open(stateIndex: 20, notes);
        Assert.Equal(20, again.LastIndex);
        Assert.Equal(1000, notes.Found.Count);
        Assert.Equal(1, notes.Calls); // And only now, made durable, they may go.
    }

    [Fact]
    public async Task Local_records_that_are_durable_elsewhere_do_not_come_again_and_later_ones_do()
    {
        Notes notes = new();
        using (EntryJournal journal = Open(local: notes))
        {
            await AppendAsync(journal, 1, 1);
            await NoteAsync(journal, 1);
            journal.Forget(new JournalMark(1, 1, 1, 1), journal.Position);
            await NoteAsync(journal, 2);
        }

        using (EntryJournal again = Open(stateIndex: 1, notes))
        {
            Assert.Equal([Payload(2)], notes.Found);
            await AppendAsync(again, 1, 60, from: 2);
            again.Forget(new JournalMark(1, 1, 1, 1), again.Position);
            again.TruncateAfter(20); // The positions after it are used again.
            await NoteAsync(again, 3);
        }

        notes.Found.Clear();
        using EntryJournal third = Open(stateIndex: 20, notes);
        Assert.Equal([Payload(3)], notes.Found);
    }

    [Fact]
    public async Task Cutting_a_tail_loses_no_local_record()
    {
        Notes notes = new();
        using (EntryJournal journal = Open(local: notes))
        {
            for (int i = 1; i <= 200; i++)
            {
                journal.Append(new Note(Payload(1000 + i)));
                journal.Append(1, RecordKind.Commands, Payload(i));
            }

            await journal.WaitDurableAsync(200);
            journal.TruncateAfter(50);
            Assert.Equal(1, notes.Calls); // They are durable elsewhere now.
            Note late = new(Payload(5000));
            journal.Append(late);
            Assert.Null(await late.Outcome);
            Assert.Equal(51, journal.Append(2, RecordKind.Commands, Payload(51)));
            await journal.WaitDurableAsync(51);
        }

        Notes found = new();
        using EntryJournal again = Open(local: found);
        AssertHolds(again, 1, 51);
        Assert.Equal(52, found.Found.Count); // Those before entry 51, and the late one.
        Assert.Equal(Payload(5000), found.Found[^1]);
    }

    [Fact]
    public async Task What_takes_the_place_of_a_cut_tail_is_not_forgotten_by_what_was_decided_before()
    {
        Notes notes = new();
        using (EntryJournal journal = Open(local: notes))
        {
            await AppendAsync(journal, 1, 60);
            long position = journal.BeginForgetting();
            journal.TruncateAfter(20);
            await NoteAsync(journal, 1);
            journal.Forget(new JournalMark(1, 1, 1, 1), position);
        }

        using (EntryJournal again = Open(stateIndex: 20, notes))
        {
            Assert.Equal([Payload(1)], notes.Found);

            // The next time it may go.
            again.Forget(new JournalMark(2, 1, 1, 2), again.BeginForgetting());
        }

        notes.Found.Clear();
        using EntryJournal third = Open(stateIndex: 20, notes);
        Assert.Empty(notes.Found);
    }

    [Fact]
    public async Task Cutting_a_tail_loses_no_local_record_of_a_file_without_entries()
    {
        Notes notes = new();
        using EntryJournal journal = Open(local: notes);
        await AppendAsync(journal, 1, 20);
        await HalfFileAsync(journal);
        await HalfFileAsync(journal);
        await HalfFileAsync(journal);
        await AppendAsync(journal, 1, 21, from: 21);
        Assert.Equal(3, Segments().Length);

        journal.TruncateAfter(20);

        Assert.Single(Segments());
        Assert.Equal(1, notes.Calls);
    }

    [Fact]
    public async Task Positions_of_a_file_that_is_cut_as_a_whole_are_used_again_without_loss()
    {
        Notes notes = new();
        using (EntryJournal journal = Open(local: notes))
        {
            await AppendAsync(journal, 1, 20);
            await HalfFileAsync(journal);
            await HalfFileAsync(journal);
            journal.Forget(new JournalMark(1, 1, 1, 1), journal.BeginForgetting());
            await AppendAsync(journal, 1, 21, from: 21);
            Assert.Equal(2, Segments().Length);
            journal.TruncateAfter(20);
            await NoteAsync(journal, 1);
        }

        using EntryJournal again = Open(stateIndex: 20, notes);
        Assert.Equal([Payload(1)], notes.Found);
    }

    [Fact]
    public async Task What_an_earlier_use_of_a_file_has_left_is_never_read()
    {
        for (int round = 0; round < 3; round++)
        {
            int first = (round * 400) + 1;
            using EntryJournal journal = Open(stateIndex: first - 1);
            Assert.Equal(first - 1, journal.LastIndex);
            await AppendAsync(journal, 1, first + 399, from: first);
            journal.Forget(new JournalMark(first + 399, 1, 1, first + 399), journal.Position);
            Assert.InRange(journal.Size.Files, 1, 2);
        }

        Assert.NotEmpty(Directory.GetFiles(_directory.Path, "spare-*"));
    }

    [Fact]
    public async Task A_crash_while_a_file_is_taken_into_use_again_is_no_damage()
    {
        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 400);
            journal.Forget(new JournalMark(399, 1, 1, 400), journal.Position);
        }

        // Renamed, and its header not yet replaced.
        File.Move(Directory.GetFiles(_directory.Path, "spare-*")[0], _directory["00000000000000000401.log"]);

        using EntryJournal again = Open(stateIndex: 400);
        Assert.Equal(400, again.LastIndex);
        await AppendAsync(again, 1, 420, from: 401);
    }

    [Fact]
    public async Task A_local_record_that_imitates_records_is_not_taken_for_any()
    {
        byte[] imitation = new byte[JournalRecord.SizeOf(100) * 100];
        for (int i = 0; i < 100; i++)
        {
            new JournalRecord(i, i, 1, RecordKind.Commands, 100, 1_000_000).Seal(imitation.AsSpan(i * JournalRecord.SizeOf(100), JournalRecord.SizeOf(100)), seed: i);
        }

        using (EntryJournal journal = Open())
        {
            await AppendAsync(journal, 1, 5);
            Note note = new(imitation);
            journal.Append(note);
            await note.Outcome;
        }

        byte[] bytes = await File.ReadAllBytesAsync(LastSegment(), Token);
        bytes[bytes.AsSpan().IndexOf(imitation) - 4] ^= 1; // Torn: its own header does not hold any more.
        await File.WriteAllBytesAsync(LastSegment(), bytes, Token);

        Notes notes = new();
        using EntryJournal again = Open(local: notes);
        AssertHolds(again, 1, 5);
        Assert.Empty(notes.Found);
    }

    private static async Task NoteAsync(EntryJournal journal, int number)
    {
        Note note = new(Payload(number));
        journal.Append(note);
        Assert.Null(await note.Outcome);
    }

    // Two of them are a whole file.
    private static async Task HalfFileAsync(EntryJournal journal)
    {
        Note note = new(new byte[((SegmentSize - JournalSegment.HeaderSize) / 2) - JournalRecord.HeaderSize]);
        journal.Append(note);
        Assert.Null(await note.Outcome);
    }

    private sealed class Note(byte[] octets, bool needsSync = true) : LocalRecord
    {
        private readonly TaskCompletionSource<IOException?> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<IOException?> Outcome => _outcome.Task;

        public override int Length => octets.Length;

        public override bool NeedsSync => needsSync;

        public override void CopyTo(Span<byte> destination) => octets.CopyTo(destination);

        public override void Ended(IOException? failure) => _outcome.SetResult(failure);
    }

    private sealed class Notes : ILocalRecords
    {
        public List<byte[]> Found { get; } = [];

        public int Calls { get; private set; }

        public void Recovered(ReadOnlySpan<byte> record) => Found.Add(record.ToArray());

        public void MakeDurable() => Calls++;
    }
}
