using CsCheck;
using Quorumail.Cluster.Journal;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;
using Quorumail.Server.Tests.Logging;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Queue;

public sealed class ReplicatedQueueTests
{
    private static readonly TimeSpan Never = TimeSpan.FromDays(1);

    // Few ids, owners and attempts, so that commands meet.
    private static readonly Gen<QueueId> FewIds = Gen.UInt[0, 5].Select(n => QueueId.Create(1000, n));
    private static readonly Gen<string> FewOwners = Gen.Bool.Select(first => first ? "n1" : "n2");

    private static readonly Gen<EnqueueCommand> Enqueue = Gen.Select(
        FewIds, FewOwners, Gen.Int[1, 2], Gen.Long[1, 200_000], (id, owner, count, size) => new EnqueueCommand(
            id, new Envelope("a@b", [.. Enumerable.Range(0, count).Select(i => new EnvelopeRecipient($"r{i}@d"))]), size,
            BodyTraits.None, new byte[16], [new BodyHolder(owner, 1), new BodyHolder("n2", 1)], owner));

    private static readonly Gen<RecipientResult> Result = Gen.Select(
        Gen.Int[0, 1], Gen.Int[1, 5], (recipient, outcome) =>
            new RecipientResult(recipient, (RecipientOutcome)outcome, "reply", "2.0.0", "mx", 5));

    private static readonly Gen<QueueCommand> Command = Gen.Frequency<QueueCommand>(
        (8, Enqueue.Select(c => (QueueCommand)c)),
        (1, FewIds.Select(id => (QueueCommand)new AbandonCommand(id))),
        (1, FewIds.Select(id => (QueueCommand)new WithdrawCommand(id))),
        (1, FewIds.Select(id => (QueueCommand)new ReportUnreadReplyCommand(id))),
        (6, Gen.Select(FewIds, Gen.Long[0, 2], Gen.Int[1, 3], Gen.Int[0, 2].Select(which => which == 2 ? [0, 1] : new[] { which }),
            (id, epoch, attempt, recipients) => (QueueCommand)new AttemptStartedCommand(id, epoch, attempt, recipients))),
        (8, Gen.Select(FewIds, Gen.Long[0, 2], Gen.Int[1, 3], Result.Array[1, 2], Enqueue.Array[0, 1],
            (id, epoch, attempt, results, notices) =>
                (QueueCommand)new AttemptEndedCommand(id, epoch, attempt, results, notices))),
        (1, FewOwners.Select(owner => (QueueCommand)new OwnerRestartedCommand(owner))),
        (1, Gen.Int[1, 2].Select(copies => (QueueCommand)new NodesChangedCommand(
            [new BodyHolder("n1", 1), new BodyHolder("n2", 1), new BodyHolder("n3", 1)], copies, 1500))),
        (1, FewOwners.Select(owner => (QueueCommand)new NodeDownCommand(owner, 1))),
        (1, Gen.Select(FewOwners, Gen.Long[0, 3], (owner, life) => (QueueCommand)new NodeUpCommand(owner, 1, life))),
        (1, Gen.Select(FewOwners, Gen.Bool, Gen.Bool, (owner, draining, vacating) => (QueueCommand)new NodeDrainingCommand(owner, draining, vacating))),
        (1, Gen.Select(FewIds.Array[1, 3], Gen.Bool, (ids, added) =>
            (QueueCommand)new HoldersChangedCommand(ids, new BodyHolder("n3", 1), added))),
        (2, Gen.Select(Gen.Int[1, 4], Gen.Int[1, 3], Gen.Bool, (action, limit, bySender) => (QueueCommand)new AdministerCommand(
            (QueueAction)action, new QueueSelection { Sender = bySender ? "a@b" : null }, limit, "reason"))),
        (1, Gen.Select(Gen.Bool, Gen.Int[0, 60_000], (sender, until) => (QueueCommand)new SuspendCommand(
            sender ? SuspensionScope.Sender : SuspensionScope.Destination, sender ? "a@b" : "d", "reason", until))),
        (1, Gen.Bool.Select(sender => (QueueCommand)new ResumeCommand(
            sender ? SuspensionScope.Sender : SuspensionScope.Destination, sender ? "a@b" : "d"))));

    /// <summary>An entry's commands, and what happens after it.</summary>
    private static readonly Gen<(QueueCommand[] Commands, After After)[]> History = Gen.Select(
        Command.Array[1, 4],
        Gen.Frequency((12, After.Nothing), (3, After.WriteBehind), (1, After.Flush), (2, After.Crash))).Array[1, 40];

    private enum After
    {
        Nothing,
        WriteBehind,
        Flush,
        Crash,
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public Task A_crash_at_any_moment_and_the_log_give_the_same_queue() => History.SampleAsync(
        async history =>
        {
            using var directory = new TemporaryDirectory();
            using var steady = new TemporaryDirectory();
            await using var other = BodyStoreTests.Open(steady);
            await using var model = new ReplicatedQueue(other, new BodyStore(other), Never, TimeProvider.System);
            var database = BodyStoreTests.Open(directory);
            var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
            for (var index = 1; index <= history.Length; index++)
            {
                Apply(model, index, history);
                Apply(queue, index, history);
                switch (history[index - 1].After)
                {
                    case After.WriteBehind:
                        await database.Commits.WriteAsync(queue.NewWrite(needsSync: false));
                        break;
                    case After.Flush:
                        Assert.Equal(index, await queue.FlushAsync(Token));
                        break;
                    case After.Crash:
                        // What was not written is lost, and the log applies it again.
                        await database.DisposeAsync();
                        database = BodyStoreTests.Open(directory);
                        queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
                        for (var again = (int)queue.AppliedIndex + 1; again <= index; again++)
                        {
                            Apply(queue, again, history);
                        }

                        break;
                }
            }

            Assert.Equal(await SnapshotAsync(model), await SnapshotAsync(queue));
            await queue.DisposeAsync();
            var restored = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
            Assert.Equal(await SnapshotAsync(model), await SnapshotAsync(restored));
            await restored.DisposeAsync();
            await database.DisposeAsync();
        },
        iter: 30);

    [Fact]
    public Task Who_reads_the_changes_knows_the_messages_of_its_node_and_hears_of_no_new_ones_of_others() => History.SampleAsync(
        async history =>
        {
            using var directory = new TemporaryDirectory();
            await using var database = BodyStoreTests.Open(directory);
            await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System) { NodeId = "n1" };
            queue.Publish();
            Dictionary<QueueId, QueuedMessage> own = [];
            for (var index = 1; index <= history.Length; index++)
            {
                var isOfOthers = history[index - 1].Commands.All(command => command is EnqueueCommand { Owner: "n2" } one && !queue.TryGet(one.Id, out _));
                Apply(queue, index, history);

                // What comes from a node that is gone goes to another at once.
                isOfOthers = isOfOthers && queue.Messages(int.MaxValue).All(message => message.Owner == "n2");
                while (queue.Feed.TryRead(out var change))
                {
                    Assert.True(!isOfOthers || change.SuspensionsChanged); // A suspension may have expired.
                    if (change.Message is { Owner: "n1" } message)
                    {
                        own[change.Id] = message;
                    }
                    else
                    {
                        own.Remove(change.Id);
                    }
                }

                // The epoch of a life that begins is no change of each message.
                Assert.Equal(
                    queue.Messages(int.MaxValue).Where(message => message.Owner == "n1").OrderBy(message => message.Id).Select(message => message with { Epoch = 0 }),
                    own.Values.OrderBy(message => message.Id).Select(message => message with { Epoch = 0 }));
            }
        },
        iter: 100);

    [Fact]
    public Task A_snapshot_makes_the_same_queue_elsewhere() => History.SampleAsync(
        async history =>
        {
            using var here = new TemporaryDirectory();
            using var there = new TemporaryDirectory();
            await using var first = BodyStoreTests.Open(here);
            await using var source = new ReplicatedQueue(first, new BodyStore(first), Never, TimeProvider.System);
            await using var second = BodyStoreTests.Open(there);
            await using var target = new ReplicatedQueue(second, new BodyStore(second), Never, TimeProvider.System);
            for (var index = 1; index <= history.Length; index++)
            {
                Apply(source, index, history);
                if (index <= history.Length / 2)
                {
                    Apply(target, index, history);
                }
            }

            var snapshot = await SnapshotAsync(source);
            await target.LoadSnapshotAsync(new MemoryStream(snapshot), history.Length, Token);
            Assert.Equal(history.Length, target.AppliedIndex);
            Assert.Equal(snapshot, await SnapshotAsync(target));
            await using var restored = new ReplicatedQueue(second, new BodyStore(second), Never, TimeProvider.System);
            Assert.Equal(snapshot, await SnapshotAsync(restored));
        },
        iter: 20);

    [Fact]
    public async Task A_damaged_snapshot_is_refused_and_changes_nothing()
    {
        using var directory = new TemporaryDirectory();
        await using var database = BodyStoreTests.Open(directory);
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
        var history = Command.Array[3].Select(commands => (commands, After.Nothing)).Array[10].Single();
        for (var index = 1; index <= history.Length; index++)
        {
            Apply(queue, index, history);
        }

        var snapshot = await SnapshotAsync(queue);
        for (var at = 0; at < snapshot.Length; at += 7)
        {
            var damaged = snapshot.ToArray();
            damaged[at] ^= 4;
            await Assert.ThrowsAnyAsync<Exception>(async () =>
                await queue.LoadSnapshotAsync(new MemoryStream(damaged), 99, Token));
            await Assert.ThrowsAsync<InvalidDataException>(async () =>
                await queue.LoadSnapshotAsync(new MemoryStream(snapshot, 0, at), 99, Token));
        }

        Assert.Equal(snapshot, await SnapshotAsync(queue));
        Assert.Null(database.Health.Failure);
    }

    [Fact]
    public async Task A_message_that_comes_and_goes_before_it_is_written_is_never_written()
    {
        using var directory = new TemporaryDirectory();
        await using var database = BodyStoreTests.Open(directory);
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
        var id = QueueId.Create(1, 1);
        QueueCommand[] commands =
        [
            new EnqueueCommand(id, new Envelope("", [new EnvelopeRecipient("a@b")]), 5, default, new byte[16], [], "n"),
            new AttemptEndedCommand(id, 0, 1, [new RecipientResult(0, RecipientOutcome.Delivered, "", "", "")], []),
        ];
        Apply(queue, 1, [(commands, After.Nothing)]);
        await queue.FlushAsync(Token);
        using var iterator = database.Store.Iterate(database.Queue);
        for (var found = iterator.Seek([]); found; found = iterator.Next())
        {
            Assert.NotEqual(QueueRecordStore.MessageKind, iterator.Key[QueueRecordStore.PrefixLength - 1]);
        }
    }

    [Fact]
    public async Task A_body_that_came_in_the_log_is_there_before_it_is_written_and_after()
    {
        using var directory = new TemporaryDirectory();
        await using var database = BodyStoreTests.Open(directory);
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
        var stays = Carrying(1);
        var goes = Carrying(2);
        Apply(queue, 1, [([stays, goes], After.Nothing)]);
        await CheckAsync(database, stays);
        await CheckAsync(database, goes);

        Apply(queue, 1, [([Delivered(goes.Id)], After.Nothing)]);
        await database.Commits.WriteAsync(queue.NewWrite(needsSync: false));
        Assert.False(database.Carried.TryGet(stays.Id, out _));
        Assert.False(database.Carried.TryGet(goes.Id, out _));
        await CheckAsync(database, stays);
        Assert.Equal([stays.Id], new BodyStore(database).Ids());

        Apply(queue, 1, [([Delivered(stays.Id)], After.Nothing)]);
        await queue.FlushAsync(Token);
        Assert.Empty(new BodyStore(database).Ids());
    }

    [Fact]
    public async Task Applying_waits_for_a_disk_that_is_behind()
    {
        using var directory = new TemporaryDirectory();
        await using var database = BodyStoreTests.Open(directory);
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
        using var gate = new ManualResetEventSlim();
        var blocked = database.Commits.WriteAsync(new BlockedWrite(gate)).AsTask();
        database.Carried.Add(QueueId.Create(9, 9), new byte[CarriedBodies.Max]);
        var applying = Task.Run(
            () => Apply(queue, 1, [([.. Enumerable.Range(1, 5000).Select(i => Carrying((uint)i))], After.Nothing)]), Token);
        await Task.WhenAny(applying, Task.Delay(500, Token));
        Assert.False(applying.IsCompleted);
        gate.Set();
        await blocked;
        database.Carried.Remove(QueueId.Create(9, 9));
        await applying.WaitAsync(TimeSpan.FromSeconds(30), Token);
    }

    // The message's record is in the database's log, the body was in its memory alone.
    [Fact]
    public async Task A_body_that_died_with_the_databases_memory_comes_again_from_the_log()
    {
        using var directory = new TemporaryDirectory();
        using var killed = new TemporaryDirectory();
        var stays = Carrying(1);
        var goes = Carrying(2);
        var notice = Carrying(3);
        (QueueCommand[], After)[] history =
        [
            ([stays, goes], After.Nothing),
            ([Delivered(goes.Id) with { Notices = [notice] }], After.Nothing),
        ];
        await using (var first = BodyStoreTests.Open(directory))
        {
            await using var before = new ReplicatedQueue(first, new BodyStore(first), Never, TimeProvider.System);
            Apply(before, 1, history);
            await first.Commits.WriteAsync(before.NewWrite(needsSync: false));
            Apply(before, 2, history);
            await first.Commits.WriteAsync(before.NewWrite(needsSync: false));
            await first.Commits.WriteAsync(before.NewWrite(needsSync: true));
            Copy(directory.Path, killed.Path);
        }

        await using var database = BodyStoreTests.Open(killed);
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
        Assert.Equal(2, queue.AppliedIndex);
        await Assert.ThrowsAsync<BodyMissingException>(() => CheckAsync(database, stays));
        foreach (var (commands, _) in history)
        {
            queue.Recall([.. commands.Select(command => (ReadOnlyMemory<byte>)QueueEncoding.Encode(command))]);
        }

        await CheckAsync(database, stays);
        await CheckAsync(database, notice);
        Assert.Equal([stays.Id, notice.Id], new BodyStore(database).Ids().Order());
    }

    // A crash may leave a body without the record that came after it: the log brings both again.
    [Fact]
    public async Task A_body_that_an_earlier_life_has_written_goes_with_its_message_all_the_same()
    {
        using var directory = new TemporaryDirectory();
        var message = Carrying(1);
        await using (var first = BodyStoreTests.Open(directory))
        {
            first.Journal.Append(term: 1, RecordKind.Commands, new byte[100]);
            await first.Journal.WaitDurableAsync(1);
            await BodyStoreTests.WriteAsync(new BodyStore(first), message.Id, BodyStoreTests.Octets(1000));
            first.BodyJournal.MakeDurable();
        }

        await using var database = BodyStoreTests.Open(directory);
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
        Apply(queue, 1, [([message], After.Nothing)]);
        await queue.FlushAsync(Token);
        await CheckAsync(database, message);
        Apply(queue, 1, [([Delivered(message.Id)], After.Nothing)]);
        await queue.FlushAsync(Token);
        Assert.Empty(new BodyStore(database).Ids());
    }

    [Fact]
    public async Task A_snapshot_takes_over_bodies_that_are_not_written_and_asks_which_are_missing()
    {
        using var here = new TemporaryDirectory();
        using var there = new TemporaryDirectory();
        await using var first = BodyStoreTests.Open(here);
        await using var source = new ReplicatedQueue(first, new BodyStore(first), Never, TimeProvider.System);
        var (stays, goes, lacking) = (Carrying(1), Carrying(2), Carrying(3));
        Apply(source, 1, [([stays, lacking], After.Nothing)]);
        var snapshot = await SnapshotAsync(source);
        await using (var second = BodyStoreTests.Open(there))
        {
            await using var target = new ReplicatedQueue(second, new BodyStore(second), Never, TimeProvider.System);
            Apply(target, 1, [([stays, goes], After.Nothing)]);
            Assert.Equal(0, target.Unchecked);
            await target.LoadSnapshotAsync(new MemoryStream(snapshot), 9, Token);
            Assert.NotEqual(0, target.Unchecked);
            await CheckAsync(second, stays);
            using var killed = new TemporaryDirectory();
            Copy(there.Path, killed.Path);
            await using var copy = BodyStoreTests.Open(killed);
            await CheckAsync(copy, stays);
            Assert.Equal([stays.Id], new BodyStore(second).Ids());
            Assert.Equal([stays.Id, lacking.Id], target.IdsHeldBy(new BodyHolder("n", 1)).Order());
            Assert.False(second.Carried.TryGet(goes.Id, out _));
        }

        await using (var second = BodyStoreTests.Open(there))
        {
            await using var target = new ReplicatedQueue(second, new BodyStore(second), Never, TimeProvider.System);
            var number = target.Unchecked;
            Assert.NotEqual(0, number);
            await target.NoteCheckedAsync(number + 1);
            Assert.Equal(number, target.Unchecked);
            await target.NoteCheckedAsync(number);
            Assert.Equal(0, target.Unchecked);
        }

        await using var third = BodyStoreTests.Open(there);
        await using var last = new ReplicatedQueue(third, new BodyStore(third), Never, TimeProvider.System);
        Assert.Equal(0, last.Unchecked);
    }

    [Fact]
    public async Task The_feed_gives_each_changed_message_once_as_it_stands()
    {
        using var directory = new TemporaryDirectory();
        await using var database = BodyStoreTests.Open(directory);
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System);
        var (a, b) = (QueueId.Create(1, 1), QueueId.Create(1, 2));
        var envelope = new Envelope("", [new EnvelopeRecipient("a@b")]);
        queue.Publish();
        var waiting = queue.Feed.WaitToReadAsync(Token).AsTask();
        Assert.False(waiting.IsCompleted);
        Apply(queue, 1, [([
            new EnqueueCommand(a, envelope, 5, default, new byte[16], [], "n"),
            new EnqueueCommand(b, envelope, 5, default, new byte[16], [], "n"),
            new AttemptStartedCommand(a, 0, 1, [0]),
            new WithdrawCommand(b),
        ], After.Nothing)]);
        Assert.True(await waiting);
        Assert.True(queue.Feed.TryRead(out var first));
        Assert.Equal(a, first.Id);
        Assert.Equal(RecipientState.Attempting, first.Message!.Recipients[0].State);
        Assert.True(queue.Feed.TryRead(out var second));
        Assert.Equal(new QueueChange(b, null), second);
        Assert.False(queue.Feed.TryRead(out _));
        queue.Feed.Complete();
        Assert.False(await queue.Feed.WaitToReadAsync(Token));
    }

    [Fact]
    public async Task The_feed_tells_a_node_of_the_messages_that_come_to_it_and_leave_it()
    {
        using var directory = new TemporaryDirectory();
        await using var database = BodyStoreTests.Open(directory);
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System) { NodeId = "n3" };
        var envelope = new Envelope("", [new EnvelopeRecipient("a@b")]);
        BodyHolder[] nodes = [new("n1", 1), new("n2", 1), new("n3", 1)];
        var mine = new EnqueueCommand(QueueId.Create(1, 1), envelope, 5, default, new byte[16], [nodes[0], nodes[2]], "n1");
        var others = mine with { Id = QueueId.Create(1, 2), Holders = [nodes[0], nodes[1]] };
        Apply(queue, 1, [([new NodesChangedCommand(nodes, 2), mine, others], After.Nothing)]);
        queue.Publish();
        while (queue.Feed.TryRead(out _))
        {
        }

        var history = Enumerable.Repeat((new QueueCommand[] { new NodeDownCommand("n1", 1) }, After.Nothing), 2).ToArray();
        Apply(queue, 2, history);
        Assert.True(queue.Feed.TryRead(out var change));
        Assert.Equal((mine.Id, "n3"), (change.Id, change.Message!.Owner));
        Assert.False(queue.Feed.TryRead(out _));
        Assert.Equal((1, 0), (queue.CountOwnedBy("n3"), queue.Copies.TooFew));
        Assert.Equal(3, queue.Members!.Nodes.Count);
    }

    [Fact]
    public async Task Of_all_nodes_that_apply_a_deletion_the_owner_logs_it()
    {
        using var directory = new TemporaryDirectory();
        await using var database = BodyStoreTests.Open(directory);
        using var logs = new KeptLogs();
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System, logs) { NodeId = "n1" };
        var envelope = new Envelope("", [new EnvelopeRecipient("a@b")]);
        BodyHolder[] nodes = [new("n1", 1), new("n2", 1), new("n3", 1)];
        var mine = new EnqueueCommand(QueueId.Create(1, 1), envelope, 5, default, new byte[16], [nodes[0], nodes[1]], "n1");
        var others = mine with { Id = QueueId.Create(1, 2), Owner = "n2" };
        Apply(queue, 1, [([new NodesChangedCommand(nodes, 2), mine, others, new AdministerCommand(QueueAction.Delete, new QueueSelection())], After.Nothing)]);

        Assert.Equal(0, queue.Count);
        Assert.Equal([$"Information mail: removed qid={mine.Id} from= nrcpt=1 doubt=0 delay=00:00:00 reason=deleted"], logs.Lines);
    }

    [Fact]
    public async Task A_suspect_that_finds_no_room_is_warned_of_once_for_many()
    {
        using var directory = new TemporaryDirectory();
        await using var database = BodyStoreTests.Open(directory);
        using var logs = new KeptLogs();
        await using var queue = new ReplicatedQueue(database, new BodyStore(database), Never, TimeProvider.System, logs);
        var room = new QueueLimits().MaxSuspects;
        (QueueCommand[], After)[] history = [([.. Enumerable.Range(0, room).Select(Unread)], After.Nothing), .. Enumerable.Range(room, 3).Select(i => (new[] { Unread(i) }, After.Nothing))];
        Apply(queue, 1, history);
        Assert.Empty(logs.Lines);
        Assert.Equal((room, 0), queue.SuspectCounts);

        for (var index = 2; index <= history.Length; index++)
        {
            Apply(queue, index, history);
        }

        Assert.Equal((room, 3), queue.SuspectCounts);
        Assert.StartsWith("Warning queue: the list of suspects is full: 1 ", Assert.Single(logs.Lines), StringComparison.Ordinal);

        static QueueCommand Unread(int i) => new ReportUnreadReplyCommand(QueueId.Create(1, (uint)i));
    }

    /// <summary>Holds up the database's writer.</summary>
    private sealed class BlockedWrite(ManualResetEventSlim gate) : WriteRequest
    {
        public override bool NeedsSync => false;

        public override int ByteCount => 0;

        public override void AddTo(RocksBatch batch) => gate.Wait();
    }

    /// <summary>A message of 1000 octets whose body the log carries.</summary>
    private static EnqueueCommand Carrying(uint number)
    {
        var id = QueueId.Create(1, number);
        var octets = BodyStoreTests.Octets(1000);
        var hash = System.IO.Hashing.XxHash128.HashToUInt128(octets);
        var record = new byte[BodyFormat.HeadLength + octets.Length];
        BodyFormat.WriteHead(id, octets.Length, hash, chunked: false, record);
        octets.CopyTo(record, BodyFormat.HeadLength);
        return new EnqueueCommand(
            id, new Envelope("", [new EnvelopeRecipient("a@b")]), octets.Length, default, BodyFormat.HashBytes(hash), [new BodyHolder("n", 1)], "n")
        {
            Body = record,
        };
    }

    private static AttemptEndedCommand Delivered(QueueId id) =>
        new(id, 0, 1, [new RecipientResult(0, RecipientOutcome.Delivered, "", "", "")], []);

    private static async Task CheckAsync(Database database, EnqueueCommand message) =>
        Assert.Equal(message.Body[BodyFormat.HeadLength..].ToArray(), await BodyStoreTests.ReadAsync(new BodyStore(database), message.Id));

    private static void Copy(string from, string to)
    {
        // What a process that is killed leaves behind; the files that it has locked say nothing.
        foreach (var path in Directory.GetFiles(from, "*", SearchOption.AllDirectories)
            .Where(path => !string.Equals(Path.GetFileName(path), "lock", StringComparison.OrdinalIgnoreCase)))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, path));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(path, target);
        }
    }

    private static void Apply(ReplicatedQueue queue, int index, (QueueCommand[] Commands, After After)[] history)
    {
        var commands = history[index - 1].Commands;
        var answers = new ReadOnlyMemory<byte>[commands.Length];
        queue.Apply(
            index, index * 1000, [.. commands.Select(command => (ReadOnlyMemory<byte>)QueueEncoding.Encode(command))], answers);
        Assert.All(answers, answer => Assert.NotNull(QueueAnswer.Decode(answer.Span)));
        for (var i = 0; i < commands.Length; i++)
        {
            Assert.Equal(commands[i] is AdministerCommand, answers[i].Length > 1);
        }
    }

    private static async Task<byte[]> SnapshotAsync(ReplicatedQueue queue)
    {
        using var stream = new MemoryStream();
        await queue.SaveSnapshotAsync(stream, Token);
        return stream.ToArray();
    }
}
