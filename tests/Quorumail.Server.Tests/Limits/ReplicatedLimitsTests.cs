using CsCheck;
using Quorumail.Core.Limits;
using Quorumail.Core.Queue;
using Quorumail.Server.Limits;
using Quorumail.Server.Limits.Format;
using Quorumail.Server.Queue;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Limits;

/// <summary>The limits as a part of the state that the queue's log makes, on real disks.</summary>
public sealed class ReplicatedLimitsTests
{
    private static readonly TimeSpan Never = TimeSpan.FromDays(1);

    private static readonly Gen<string> Name = Gen.Bool.Select(rate => rate ? "rate" : "slots");
    private static readonly Gen<string> Key = Gen.Int[1, 3].Select(n => $"k{n}");
    private static readonly Gen<string> Node = Gen.Int[1, 3].Select(n => $"n{n}");

    private static readonly Gen<LimitCommand> Command = Gen.Frequency<LimitCommand>(
        (2, Gen.Select(Name, Gen.Int[1, 12], Gen.Bool, Gen.Bool, (name, capacity, shared, keepsShares) => (LimitCommand)new DefineLimitCommand(new LimitDefinition(
            name, name == "rate" ? LimitKind.Rate : LimitKind.Concurrency, capacity, 3000, shared ? LimitPolicy.Share : LimitPolicy.Closed), keepsShares))),
        (1, Name.Select(name => (LimitCommand)new RemoveLimitCommand(name))),
        (1, Node.Array[1, 3].Select(nodes => (LimitCommand)new LimitNodesCommand([.. nodes.Distinct()]))),
        (1, Gen.Select(Node, Gen.Int[1, 3], Gen.Long[0, 9], (node, members, shares) => (LimitCommand)new AdoptShareCommand(node, members, shares))),
        (6, Gen.Select(Key, Node, Gen.Int[1, 5], (key, node, count) => (LimitCommand)new WantTokensCommand("rate", key, node, count))),
        (2, Gen.Select(Key, Node, Gen.Int[1, 20], (key, node, until) => (LimitCommand)new ReturnTokensCommand("rate", key, node, until * 3000, 1))),
        (4, Gen.Select(Key, Node, (key, node) => (LimitCommand)new WantSlotCommand("slots", key, node))),
        (2, Gen.Select(Key, Node, Gen.Long[1, 6], (key, node, slot) => (LimitCommand)new KeepSlotCommand("slots", key, node, slot))),
        (2, Gen.Select(Key, Node, Gen.Long[1, 6], (key, node, slot) => (LimitCommand)new FreeSlotCommand("slots", key, node, slot))));

    /// <summary>An entry's commands, and what happens after it: 0 nothing, 1 a write, 2 a flush, 3 a crash.</summary>
    private static readonly Gen<(LimitCommand[] Commands, int After)[]> History =
        Gen.Select(Command.Array[1, 4], Gen.Frequency((10, 0), (3, 1), (1, 2), (2, 3))).Array[1, 30];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public Task A_crash_at_any_moment_and_the_log_give_the_same_limits() => History.SampleAsync(
        async history =>
        {
            using var directory = new TemporaryDirectory();
            using var steady = new TemporaryDirectory();
            await using var other = BodyStoreTests.Open(steady);
            await using var model = Open(other);
            var database = BodyStoreTests.Open(directory);
            var state = Open(database);
            for (var index = 1; index <= history.Length; index++)
            {
                Apply(model, index, history);
                Apply(state, index, history);
                switch (history[index - 1].After)
                {
                    case 1:
                        await database.Commits.WriteAsync(state.NewWrite(needsSync: false));
                        break;
                    case 2:
                        Assert.Equal(index, await state.FlushAsync(Token));
                        break;
                    case 3:
                        await database.DisposeAsync();
                        database = BodyStoreTests.Open(directory);
                        state = Open(database);
                        for (var again = (int)state.AppliedIndex + 1; again <= index; again++)
                        {
                            Apply(state, again, history);
                        }

                        break;
                }
            }

            Assert.Equal(await SnapshotAsync(model), await SnapshotAsync(state));
            await state.DisposeAsync();
            var restored = Open(database);
            Assert.Equal(await SnapshotAsync(model), await SnapshotAsync(restored));
            await restored.DisposeAsync();
            await database.DisposeAsync();
        },
        iter: 20);

    [Fact]
    public Task A_snapshot_carries_the_limits_to_another_node_and_its_disk() => History.SampleAsync(
        async history =>
        {
            using var here = new TemporaryDirectory();
            using var there = new TemporaryDirectory();
            await using var first = BodyStoreTests.Open(here);
            await using var source = Open(first);
            await using var second = BodyStoreTests.Open(there);
            await using var target = Open(second);
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
            Assert.Equal(snapshot, await SnapshotAsync(target));
            Assert.Equal(source.Limits.Rules.Limits, target.Limits.Rules.Limits);
            await using var restored = Open(second);
            Assert.Equal(snapshot, await SnapshotAsync(restored));
        },
        iter: 15);

    [Fact]
    public async Task A_queue_that_never_had_limits_has_none_in_its_snapshot_and_one_without_them_takes_those_here_away()
    {
        using var here = new TemporaryDirectory();
        using var there = new TemporaryDirectory();
        await using var first = BodyStoreTests.Open(here);
        await using var without = Open(first);
        without.Apply(1, 1000, [QueueEncoding.Encode(new OwnerRestartedCommand("n1"))], new ReadOnlyMemory<byte>[1]);
        Assert.Null(without.Limits.Records);
        await using var second = BodyStoreTests.Open(there);
        await using var target = Open(second);
        Apply(target, 1, [([new DefineLimitCommand(new LimitDefinition("rate", LimitKind.Rate, 5, 3000, LimitPolicy.Closed)), new WantTokensCommand("rate", "k", "n", 2)], 0)]);
        Assert.Equal(2, Assert.Single(target.Limits.Usage(1000)).FullestGranted);
        await target.LoadSnapshotAsync(new MemoryStream(await SnapshotAsync(without)), 9, Token);
        Assert.Empty(target.Limits.Rules.Limits);
        await using var restored = Open(second);
        Assert.Null(restored.Limits.Records);
    }

    [Fact]
    public void A_program_that_knows_no_limits_refuses_their_commands_instead_of_applying_something_else() =>
        Assert.Throws<NewerFormatException>(() => QueueEncoding.DecodeCommand(ReplicatedLimits.Encode(new RemoveLimitCommand("rate"))));

    private static ReplicatedQueue Open(Database database) => new(database, new BodyStore(database), Never, TimeProvider.System);

    private static void Apply(ReplicatedQueue state, int index, (LimitCommand[] Commands, int After)[] history)
    {
        // A command of the queue between them, as in real entries.
        List<ReadOnlyMemory<byte>> commands = [.. history[index - 1].Commands.Select(c => (ReadOnlyMemory<byte>)ReplicatedLimits.Encode(c))];
        commands.Insert(commands.Count / 2, QueueEncoding.Encode(new OwnerRestartedCommand("n1")));
        var answers = new ReadOnlyMemory<byte>[commands.Count];
        state.Apply(index, index * 1000, commands, answers);
        Assert.All(
            commands.Zip(answers).Where(each => ReplicatedLimits.IsCommand(each.First.Span)),
            each => Assert.NotNull(LimitEncoding.DecodeAnswer(each.Second.Span)));
    }

    private static async Task<byte[]> SnapshotAsync(ReplicatedQueue state)
    {
        using var stream = new MemoryStream();
        await state.SaveSnapshotAsync(stream, Token);
        return stream.ToArray();
    }
}
