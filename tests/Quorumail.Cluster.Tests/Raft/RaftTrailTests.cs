using System.Net;
using DotNext.IO;
using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests.Raft;

/// <summary>The log as the engine sees it, without the engine.</summary>
public sealed class RaftTrailTests : IDisposable
{
    private static readonly DnsEndPoint Self = new("node1", 1);

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_followers_append_returns_when_everything_is_on_the_disk()
    {
        await using Node node = await Node.OpenAsync(_directory["a"]);

        await node.Trail.AppendAsync(Producer(1, 1, 100), 1, skipCommitted: true, Token);

        Assert.Equal(100, node.Journal.DurableIndex);
        Assert.Empty(node.State.Applied);
    }

    [Fact]
    public async Task A_commit_is_not_reported_before_the_leaders_own_disk_holds_the_entry()
    {
        await using Node node = await Node.OpenAsync(_directory["a"]);
        for (int i = 0; i < 50; i++)
        {
            long index = await node.Trail.AppendAsync(Entry(1, i), Token);
            await node.Trail.CommitAsync(index, Token);
            Assert.True(node.Journal.DurableIndex >= index);
        }

        await node.Trail.WaitForApplyAsync(50, Token);
        Assert.Equal(50, node.State.Count);
    }

    [Fact]
    public async Task A_conflicting_tail_is_replaced_and_a_repeated_entry_is_not()
    {
        await using Node node = await Node.OpenAsync(_directory["a"]);
        await node.Trail.AppendAsync(Producer(1, 1, 10), 1, skipCommitted: true, Token);
        await node.Trail.CommitAsync(4, Token);
        long syncs = node.Journal.Size.Syncs;

        await node.Trail.AppendAsync(Producer(1, 1, 10), 1, skipCommitted: true, Token);
        Assert.Equal(syncs, node.Journal.Size.Syncs);
        Assert.Equal(10, node.Trail.LastEntryIndex);

        await node.Trail.AppendAsync(Producer(2, 6, 7), 6, skipCommitted: true, Token);
        Assert.Equal(7, node.Trail.LastEntryIndex);
        Assert.Equal(1, await node.TermAsync(5));
        Assert.Equal(2, await node.TermAsync(6));
        await Assert.ThrowsAsync<InvalidOperationException>(async () =>
            await node.Trail.AppendAsync(Producer(3, 3, 4), 3, skipCommitted: false, Token));
    }

    [Fact]
    public async Task The_state_never_sees_a_configuration_and_the_members_survive_a_restart()
    {
        DnsEndPoint other = new("node2", 7);
        MemberSet members = new([Self, other]);
        await using (Node node = await Node.OpenAsync(_directory["a"]))
        {
            long index = await node.Trail.AppendAsync(Entry(1, 1), Token);
            index = await node.Trail.AppendAsync(new Configuration(1, members), Token);
            index = await node.Trail.AppendAsync(Entry(1, 2), Token);
            await node.Trail.CommitAsync(index, Token);
            await node.Trail.WaitForApplyAsync(index, Token);
            Assert.Equal(2, node.State.Count);
        }

        // Replayed: the configuration is there again before the state, which is empty, sees what follows.
        await using Node again = await Node.OpenAsync(_directory["a"]);
        await again.Trail.CommitAsync(3, Token);
        await again.Trail.WaitForApplyAsync(3, Token);
        Assert.Equal(2, again.State.Count);
        Assert.True(again.Members.Members.SetEquals([Self, other]));
    }

    [Fact]
    public async Task The_members_that_are_written_and_not_applied_are_known_until_they_are_replaced_or_applied()
    {
        MemberSet three = new([Self, new DnsEndPoint("node2", 2), new DnsEndPoint("node3", 3)]);
        MemberSet two = new([Self, new DnsEndPoint("node2", 2)]);
        await using (Node node = await Node.OpenAsync(_directory["a"]))
        {
            Assert.Null(node.NextMembers);
            await node.Trail.AppendAsync(Producer(1, 1, 3), 1, skipCommitted: true, Token);
            await node.Trail.AppendAsync(new ListProducer([new Configuration(1, two), new Configuration(1, three)]), 4, skipCommitted: true, Token);
            Assert.True(node.NextMembers!.SetEquals(three.Members));
            Assert.Equal(2, node.NextMembersChanges);
            Assert.True(node.Members.Members.SetEquals([Self]));

            // Another leader's entry in its place: the one before it counts again.
            await node.Trail.AppendAsync(Producer(2, 5, 6), 5, skipCommitted: true, Token);
            Assert.True(node.NextMembers!.SetEquals(two.Members));
            Assert.Equal(3, node.NextMembersChanges);
        }

        // They are found again at a start, and are the members when they are applied.
        await using Node again = await Node.OpenAsync(_directory["a"]);
        Assert.True(again.NextMembers!.SetEquals(two.Members));
        await again.Trail.CommitAsync(6, Token);
        await again.Trail.WaitForApplyAsync(6, Token);
        Assert.Null(again.NextMembers);
        Assert.True(again.Members.Members.SetEquals(two.Members));
    }

    [Fact]
    public async Task A_read_is_bounded_by_bytes_and_by_entries_but_gives_at_least_one()
    {
        await using Node node = await Node.OpenAsync(_directory["a"]);
        await node.Trail.AppendAsync(Producer(1, 1, 3000, size: 1000), 1, skipCommitted: true, Token);

        Assert.InRange((await node.ReadAsync(1, 3000)).Count, 50, Node.MaxReadBytes / 1000);
        await node.Trail.AppendAsync(Producer(1, 3001, 6000, size: 0), 3001, skipCommitted: true, Token);
        Assert.Equal(Node.MaxReadEntries, (await node.ReadAsync(3001, 6000)).Count);
        await node.Trail.AppendAsync(Producer(1, 6001, 6001, size: 3 * Node.MaxReadBytes), 6001, skipCommitted: true, Token);
        Assert.Single((await node.ReadAsync(6001, 6001)).Entries);
    }

    [Fact]
    public async Task Disk_and_files_stay_bounded_over_more_than_200_000_entries()
    {
        await using Node node = await Node.OpenAsync(_directory["a"], snapshotEntries: 5000);
        long entries = 0;
        int mostFiles = 0;
        while (entries < 210_000)
        {
            for (int i = 0; i < 1000; i++)
            {
                entries = await node.Trail.AppendAsync(Entry(1, i), Token);
            }

            await node.Trail.CommitAsync(entries, Token);
            await node.Trail.WaitForApplyAsync(entries, Token);
            await node.Flushed; // However slow the disk: what comes while a flush is under way stays for the next one.
            mostFiles = Math.Max(mostFiles, Directory.GetFiles(_directory["a"], "*", SearchOption.AllDirectories).Length);
        }

        Assert.Equal(210_000, node.State.Count);
        Assert.InRange(node.State.Flushes, 10, 42);
        Assert.InRange(mostFiles, 1, 20);
        Assert.InRange(node.Journal.Size.Bytes, 0, 3L * Node.SegmentBytes);
        Assert.True(node.Journal.Mark.Index >= 205_000);
    }

    [Fact]
    public async Task Only_what_the_state_holds_durably_is_forgotten()
    {
        await using Node node = await Node.OpenAsync(_directory["a"], snapshotEntries: 100);
        node.State.Durable = false;
        for (int first = 1; first <= 401; first += 100)
        {
            await node.AppendCommittedAsync(first, first + 99);
        }

        Assert.Equal(0, node.Journal.Mark.Index);
        Assert.Equal(5, node.State.Flushes);

        node.State.Durable = true;
        await node.AppendCommittedAsync(501, 650);
        Assert.InRange(node.Journal.Mark.Index, 500, 650);
    }

    [Fact]
    public async Task A_member_that_lags_gets_the_whole_state_made_only_then()
    {
        await using Node leader = await Node.OpenAsync(_directory["a"], snapshotEntries: 100);
        await leader.AppendCommittedAsync(1, 250);
        Assert.Equal(0, leader.State.Saves);
        Assert.Equal(1, await leader.TermAsync(leader.Journal.Mark.Index));
        Assert.Equal(0, leader.State.Saves);

        ReadResult read = await leader.ReadAsync(1, 250);
        long snapshotIndex = Assert.NotNull(read.SnapshotIndex);
        await using (Node follower = await Node.OpenAsync(_directory["b"]))
        {
            await follower.Trail.AppendAsync(Producer(1, 1, 30), 1, skipCommitted: true, Token);
            await follower.Trail.AppendAsync(read.Entries[0], snapshotIndex, Token);

            Assert.Equal(1, leader.State.Saves);
            Assert.Equal(leader.State.Applied.Select(a => (a.Index, Convert.ToHexString(a.Command))), follower.State.Applied.Select(a => (a.Index, Convert.ToHexString(a.Command))));
            Assert.Equal(snapshotIndex, follower.Trail.LastEntryIndex);
            Assert.Equal(snapshotIndex, follower.Trail.CommitIndex);
            Assert.Equal(1, await follower.TermAsync(snapshotIndex));

            // What the snapshot's state holds already is not applied again.
            ReadResult rest = await leader.ReadAsync(snapshotIndex + 1, 250);
            await follower.Trail.AppendAsync(new ListProducer(rest.Entries), snapshotIndex + 1, skipCommitted: true, Token);
            await follower.Trail.CommitAsync(250, Token);
            await follower.Trail.WaitForApplyAsync(250, Token);
            Assert.Equal(250, follower.State.Count);
        }

        Assert.Empty(Directory.GetFiles(_directory["b"], "incoming*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task What_follows_a_snapshot_is_applied_with_the_stamps_of_the_first_time()
    {
        await using Node leader = await Node.OpenAsync(_directory["a"], snapshotEntries: 100);
        await leader.AppendCommittedAsync(1, 250, StampOf);

        // The cluster goes on while the snapshot is made.
        leader.State.Saving = () => leader.AppendCommittedAsync(251, 300, StampOf);
        ReadResult read = await leader.ReadAsync(1, 250);
        using IDisposable retained = leader.Retain(read.SnapshotIndex!.Value);
        await using Node follower = await Node.OpenAsync(_directory["b"]);
        await follower.Trail.AppendAsync(read.Entries[0], read.SnapshotIndex!.Value, Token);
        Assert.Equal(250, follower.State.AppliedIndex);

        ReadResult rest = await leader.ReadAsync(follower.Trail.LastEntryIndex + 1, 300);
        await follower.Trail.AppendAsync(new ListProducer(rest.Entries), follower.Trail.LastEntryIndex + 1, skipCommitted: true, Token);
        await follower.Trail.CommitAsync(300, Token);
        await follower.Trail.WaitForApplyAsync(300, Token);

        Assert.Equal(Enumerable.Range(251, 50).Select(StampOf), follower.State.Stamps.OrderBy(s => s.Key).Select(s => s.Value));
    }

    [Fact]
    public async Task What_is_applied_again_after_a_start_has_the_stamps_of_the_first_time()
    {
        MemoryState state = new() { IsLate = true };
        await using (Node node = await Node.OpenAsync(_directory["a"], snapshotEntries: 100, state))
        {
            await node.AppendCommittedAsync(1, 110, StampOf);
            await node.AppendCommittedAsync(111, 220, StampOf);
            Assert.InRange(node.Journal.Mark.Index, 100, 110);
        }

        await using Node again = await Node.OpenAsync(_directory["a"], state: state.Reopen());
        await again.Trail.CommitAsync(220, Token);
        await again.Trail.WaitForApplyAsync(220, Token);

        Assert.Equal(220, again.State.Stamps.Keys.Max());
        Assert.All(again.State.Stamps, stamp => Assert.Equal(StampOf((int)stamp.Key), stamp.Value));
    }

    [Fact]
    public async Task A_damaged_snapshot_changes_nothing()
    {
        await using Node leader = await Node.OpenAsync(_directory["a"], snapshotEntries: 100);
        await leader.AppendCommittedAsync(1, 150);
        ReadResult read = await leader.ReadAsync(1, 150);
        byte[] bytes = await read.Entries[0].ToByteArrayAsync(token: Token);
        bytes[10] ^= 1;
        await using Node follower = await Node.OpenAsync(_directory["b"]);

        await Assert.ThrowsAsync<InvalidDataException>(async () =>
            await follower.Trail.AppendAsync(new SnapshotBytes(1, bytes), read.SnapshotIndex!.Value, Token));

        Assert.Equal(0, follower.State.Count);
        await follower.AppendCommittedAsync(1, 5);
        Assert.Equal(5, follower.State.Count);
    }

    [Fact]
    public async Task The_members_of_a_snapshot_survive_a_crash_during_its_installation()
    {
        MemberSet members = new([Self, new DnsEndPoint("node2", 2), new DnsEndPoint("node3", 3)]);
        await using Node leader = await Node.OpenAsync(_directory["a"], snapshotEntries: 100);
        await leader.AppendCommittedAsync(1, 250);
        long index = leader.Journal.Mark.Index;
        await using (Node follower = await Node.OpenAsync(_directory["b"]))
        {
            await follower.AppendCommittedAsync(1, 30);
            follower.State.Loading = () => throw new IOException("The process is killed here.");
            await using Received staged = await leader.StageAsync(_directory["b"], members, 50);

            await Assert.ThrowsAsync<IOException>(async () => await follower.Trail.AppendAsync(staged.Snapshot, index, Token));
            Assert.NotNull(await follower.Failed.WaitAsync(TimeSpan.FromSeconds(20), Token));
        }

        await using Node again = await Node.OpenAsync(_directory["b"]);
        Assert.Equal(index, again.Journal.Mark.Index);
        Assert.Equal(50, again.Members.Version);
        Assert.True(again.Members.Members.SetEquals(members.Members));
    }

    [Fact]
    public async Task A_node_that_stops_while_it_catches_up_after_a_snapshot_starts_again()
    {
        await using Node leader = await Node.OpenAsync(_directory["a"], snapshotEntries: 100);
        await leader.AppendCommittedAsync(1, 110);
        await leader.AppendCommittedAsync(111, 150);
        ReadResult read = await leader.ReadAsync(1, 150);
        long mark = read.SnapshotIndex!.Value;
        Assert.InRange(mark, 100, 120);

        // The cluster's own part of the snapshot is older than the other.
        leader.State.SaveBegins = () => leader.AppendCommittedAsync(151, 160);
        MemoryState state = new();
        await using (Node follower = await Node.OpenAsync(_directory["b"], state: state))
        {
            await follower.Trail.AppendAsync(read.Entries[0], mark, Token);
            Assert.Equal(160, state.AppliedIndex);
            await follower.AppendCommittedAsync((int)mark + 1, (int)mark + 10);
            await follower.CheckpointAsync();
        }

        await using Node again = await Node.OpenAsync(_directory["b"], state: state.Reopen());
        Assert.Equal(mark + 10, again.Trail.LastEntryIndex);
        await again.AppendCommittedAsync((int)mark + 11, 170);
        Assert.Equal(170, again.State.Count);
    }

    [Fact]
    public async Task A_tail_that_can_not_be_cut_fails_the_log()
    {
        await using Node node = await Node.OpenAsync(_directory["a"]);
        await node.Trail.AppendAsync(Producer(1, 1, 300, size: 10_000), 1, skipCommitted: true, Token);
        Directory.Move(_directory["a/journal"], _directory["a/elsewhere"]); // No file of it is found by its name.

        await Assert.ThrowsAnyAsync<IOException>(async () => await node.Trail.AppendAsync(Producer(2, 5, 6), 5, skipCommitted: true, Token));

        Assert.IsAssignableFrom<IOException>(await node.Failed.WaitAsync(TimeSpan.FromSeconds(20), Token));
        await Assert.ThrowsAnyAsync<IOException>(async () => await node.Trail.AppendAsync(Producer(3, 7, 8), 7, skipCommitted: true, Token));
    }

    [Fact]
    public async Task Entries_that_wait_to_be_applied_fill_no_more_than_some_of_the_memory()
    {
        using ManualResetEventSlim goesOn = new();
        MemoryState state = new() { Applying = () => goesOn.Wait(Token) };
        await using Node node = await Node.OpenAsync(_directory["a"], state: state, isAlone: false);
        node.Journal.MaxMemoryBytes = 1 << 20;
        try
        {
            for (int first = 1; first <= 400; first += 50)
            {
                await node.Trail.AppendAsync(Producer(1, first, first + 49, size: 10_000), first, skipCommitted: true, Token);
                await node.Trail.CommitAsync(first + 49, Token);
                Assert.InRange(node.Journal.MemoryBytes, 1, 1 << 20);
            }
        }
        finally
        {
            goesOn.Set();
        }

        await node.Trail.WaitForApplyAsync(400, Token);
        Assert.Equal(Enumerable.Range(1, 400).Select(i => (long)i), state.Applied.Select(a => a.Index));
        Assert.All(state.Applied, a => Assert.Equal(10_000, a.Command.Length));
        Assert.Equal(0, node.Journal.MemoryBytes);
    }

    [Fact]
    public async Task The_next_entries_of_a_leader_are_taken_at_the_end_of_the_log_and_in_its_term_only()
    {
        await using Node node = await Node.OpenAsync(_directory["a"], isAlone: false);
        await node.Trail.AppendAsync(Producer(1, 1, 3), 1, skipCommitted: true, Token);
        await node.EnterAsync(2);

        Assert.False(node.TryAppendNext(1, 3, 1, Commands(1, 1)), "of a term that is over");
        Assert.False(node.TryAppendNext(2, 2, 1, Commands(2, 1)), "in another's place");
        Assert.False(node.TryAppendNext(2, 4, 1, Commands(2, 1)), "behind a gap");
        Assert.False(node.TryAppendNext(2, 3, 2, Commands(2, 1)), "behind another entry");
        Assert.False(node.TryAppendNext(2, 3, 1, [.. Commands(2, 1), .. Commands(1, 1)]), "of an earlier term");
        Assert.False(node.TryAppendNext(2, 3, 1, [new JournalLogEntry(2, RecordKind.Configuration, new byte[4])]), "which sets the members");
        Assert.Equal(3, node.Journal.LastIndex);

        Assert.True(node.TryAppendNext(2, 3, 1, Commands(2, 2)));
        Assert.True(await node.WaitDurableInTermAsync(5, 2));
        Assert.Equal(2, await node.TermAsync(5));
    }

    [Fact]
    public async Task An_entry_is_not_answered_for_when_the_log_has_entered_another_term_meanwhile()
    {
        // Who has voted in that one has looked at the log before, perhaps without the entry: if it counted, one that lacks it could be elected.
        await using Node node = await Node.OpenAsync(_directory["a"], isAlone: false);
        await node.EnterAsync(1);
        Assert.True(node.TryAppendNext(1, 0, 0, Commands(1, 1)));
        await node.EnterAsync(2);
        Assert.False(await node.WaitDurableInTermAsync(1, 1));
    }

    [Fact]
    public async Task An_entry_is_not_answered_for_when_another_has_its_place()
    {
        await using Node node = await Node.OpenAsync(_directory["a"], isAlone: false);
        await node.EnterAsync(1);
        Assert.True(node.TryAppendNext(1, 0, 0, Commands(1, 1)));
        await node.EnterAsync(2);
        await node.Trail.AppendAsync(Producer(2, 1, 1), 1, skipCommitted: true, Token);
        Assert.False(await node.WaitDurableInTermAsync(1, 1));
        Assert.True(await node.WaitDurableInTermAsync(1, 2));
    }

    private static JournalLogEntry[] Commands(long term, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => new JournalLogEntry(term, RecordKind.Commands, Content(new byte[4])))];

    private static ProposalEntry Entry(long term, int number) => new(term, Content(BitConverter.GetBytes(number)), null);

    private static long StampOf(int index) => 10L * index;

    private static byte[] Content(byte[] command, long stamp = 1)
    {
        byte[] content = new byte[LogEntryFormat.HeaderSize + LogEntryFormat.CommandHeaderSize + command.Length];
        LogEntryFormat.WriteHeader(content, stamp, 1);
        LogEntryFormat.WriteCommand(content.AsSpan(LogEntryFormat.HeaderSize), new LoggedCommand(CommandTarget.Application, 1, 0, command));
        return content;
    }

    private static ListProducer Producer(long term, int first, int last, int size = 4, Func<int, long>? stampOf = null) =>
        new([.. Enumerable.Range(first, last - first + 1).Select(
            index => new JournalLogEntry(term, RecordKind.Commands, Content(new byte[size], stampOf?.Invoke(index) ?? 1)))]);

    private sealed record ReadResult(IReadOnlyList<IRaftLogEntry> Entries, long? SnapshotIndex)
    {
        public int Count => Entries.Count;
    }

    private sealed class Reader(bool metadataOnly) : ILogEntryConsumer<IRaftLogEntry, ReadResult>
    {
        public bool LogEntryMetadataOnly => metadataOnly;

        public ValueTask<ReadResult> ReadAsync<TEntry, TList>(TList entries, long? snapshotIndex, CancellationToken token)
            where TEntry : IRaftLogEntry
            where TList : IReadOnlyList<TEntry> =>
            ValueTask.FromResult(new ReadResult([.. entries.Select(e => (IRaftLogEntry)e)], snapshotIndex));
    }

    private sealed class ListProducer(IReadOnlyList<IRaftLogEntry> entries) : ILogEntryProducer<IRaftLogEntry>
    {
        private int _at = -1;

        public long RemainingCount => entries.Count - _at - 1;

        public IRaftLogEntry Current => entries[_at];

        public ValueTask<bool> MoveNextAsync() => ValueTask.FromResult(++_at < entries.Count);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class Configuration(long term, MemberSet members) : IRaftLogEntry
    {
        public long Term => term;

        public bool IsConfiguration => true;

        public long? Length => members.Length;

        public bool IsReusable => true;

        public ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
            where TWriter : IAsyncBinaryWriter => members.WriteToAsync(writer, token);
    }

    private sealed class SnapshotBytes(long term, byte[] bytes) : IRaftLogEntry
    {
        public long Term => term;

        public bool IsSnapshot => true;

        public long? Length => bytes.Length;

        public bool IsReusable => true;

        public ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
            where TWriter : IAsyncBinaryWriter => writer.Invoke(bytes, token);
    }

    private sealed class Node : IAsyncDisposable
    {
        public const int SegmentBytes = 1 << 20;
        public const int MaxReadBytes = 64 << 10;
        public const int MaxReadEntries = 256;

        private readonly RaftTrail _trail;

        private Node(RaftTrail trail, EntryJournal journal, MembershipFile members, MemoryState state, Task<Exception> failed)
        {
            _trail = trail;
            Journal = journal;
            Members = members;
            State = state;
            trail.NextMembersChanged = () => NextMembersChanges++;
            Failed = failed;
        }

        public IAuditTrailUnderTest Trail => new(_trail);

        public EntryJournal Journal { get; }

        public Task Flushed => _trail.Flushed;

        public Task<Exception> Failed { get; }

        public Task CheckpointAsync() => _trail.CheckpointAsync();

        public IDisposable Retain(long index) => _trail.Retain(index);

        /// <summary>As a vote in a later term does.</summary>
        public async Task EnterAsync(long term) => await ((IPersistentState)_trail).UpdateTermAsync(term, resetLastVote: true, Token);

        public bool TryAppendNext(long term, long previousIndex, long previousTerm, IReadOnlyList<JournalLogEntry> entries) =>
            _trail.TryAppendNext(term, previousIndex, previousTerm, entries);

        // The test goes on on a thread of its own, not on the journal's.
        public Task<bool> WaitDurableInTermAsync(long index, long term) =>
            Task.Run(async () => await _trail.WaitDurableInTermAsync(index, term), Token);

        public IReadOnlySet<EndPoint>? NextMembers => _trail.NextMembers?.Members;

        public int NextMembersChanges { get; private set; }

        public MembershipFile Members { get; }

        public MemoryState State { get; }

        public static async Task<Node> OpenAsync(string directory, int snapshotEntries = 1_000_000, MemoryState? state = null, bool isAlone = true)
        {
            state ??= new MemoryState();
            string file = Path.Combine(Directory.CreateDirectory(directory).FullName, "members");
            if (!File.Exists(file))
            {
                MembershipFile.Found(file, [Self]);
            }

            EntryJournal journal = EntryJournal.Open(Path.Combine(directory, "journal"), SegmentBytes);
            ClusterNodeOptions settled = new() { NodeId = Self.Host, Directory = directory };
            ReplicatedStates states = await RunningLog.SettleAsync(settled, new ClusterNodeStates(state), journal, Token);
            MembershipFile members = MembershipFile.Read(file);
            TaskCompletionSource<Exception> failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
            RaftTrailOptions options = new(Path.Combine(directory, "vote"), snapshotEntries, long.MaxValue, MaxReadBytes, MaxReadEntries);
            RaftTrail trail = new(options, journal, members, states, new StateApplier(states), problem => failed.TrySetResult(problem))
            {
                IsAlone = isAlone,
            };
            await ((IAuditTrail)trail).InitializeAsync(Token);
            return new Node(trail, journal, members, state, failed.Task);
        }

        /// <summary>Its snapshot, as it stands on another node's disk once it has been received.</summary>
        public async Task<Received> StageAsync(string directory, MemberSet members, long version)
        {
            ReadResult read = await ReadAsync(1, Journal.LastIndex);
            FileStream file = StagedSnapshot.Create(StagedSnapshot.PathIn(Path.Combine(directory, "vote")));
            await file.WriteAsync(await read.Entries[0].ToByteArrayAsync(token: Token), Token);
            return new Received(file, new StagedSnapshot(file, read.Entries[0].Term, members, version));
        }

        public async Task<long> TermAsync(long index) =>
            (await Trail.ReadAsync(new Reader(metadataOnly: true), index, index, Token)).Entries[0].Term;

        public async Task<ReadResult> ReadAsync(long first, long last) =>
            await Trail.ReadAsync(new Reader(metadataOnly: false), first, last, Token);

        public async Task AppendCommittedAsync(int first, int last, Func<int, long>? stampOf = null)
        {
            await Trail.AppendAsync(Producer(1, first, last, stampOf: stampOf), first, skipCommitted: true, Token);
            await Trail.CommitAsync(last, Token);
            await Trail.WaitForApplyAsync(last, Token);
            await Task.Yield();
            await _trail.Flushed;
        }

        public async ValueTask DisposeAsync()
        {
            await Task.Yield();
            await _trail.DisposeAsync();
            Journal.Dispose();
        }
    }

    private sealed record Received(FileStream File, StagedSnapshot Snapshot) : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => File.DisposeAsync();
    }

    /// <summary>Calls go through the interface, as the engine's do; the base class has members of the same names.</summary>
    private readonly struct IAuditTrailUnderTest(RaftTrail trail)
    {
        private readonly IAuditTrail<IRaftLogEntry> _trail = trail;

        public long LastEntryIndex => _trail.LastEntryIndex;

        public long CommitIndex => _trail.LastCommittedEntryIndex;

        public async ValueTask<long> AppendAsync(IRaftLogEntry entry, CancellationToken token)
        {
            IAuditTrail<IRaftLogEntry> log = _trail;
            if (log is IPersistentState state && state.Term < entry.Term)
            {
                await state.UpdateTermAsync(entry.Term, resetLastVote: true, token); // As an election does.
            }

            return await log.AppendAsync(entry, token);
        }

        public ValueTask AppendAsync(IRaftLogEntry entry, long index, CancellationToken token) => _trail.AppendAsync(entry, index, token);

        public ValueTask AppendAsync(ILogEntryProducer<IRaftLogEntry> entries, long index, bool skipCommitted, CancellationToken token) =>
            _trail.AppendAsync(entries, index, skipCommitted, token);

        public ValueTask<long> CommitAsync(long index, CancellationToken token) => _trail.CommitAsync(index, token);

        public ValueTask WaitForApplyAsync(long index, CancellationToken token) => _trail.WaitForApplyAsync(index, token);

        public ValueTask<T> ReadAsync<T>(ILogEntryConsumer<IRaftLogEntry, T> reader, long first, long last, CancellationToken token) =>
            _trail.ReadAsync(reader, first, last, token);
    }
}
