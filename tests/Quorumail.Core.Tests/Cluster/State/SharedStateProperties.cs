using System.Text;
using CsCheck;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Core.Tests.Cluster.State;

public sealed class SharedStateProperties
{
    private static readonly StateLimits Small = new() { TotalMax = 2000, ValueMax = 8, ExpiredPerEntry = 2, HistoryMax = 20, TimeToLiveMax = 50 };

    private static readonly Gen<string> Key = Gen.OneOf("", "a", "a/1", "a/2", "b", "b\0", "ö", "a/10");

    private static readonly Gen<ReadOnlyMemory<byte>> Value =
        Gen.OneOf("", "1", "2", "12345678", "123456789").Select(text => new ReadOnlyMemory<byte>(Encoding.UTF8.GetBytes(text)));

    private static readonly Gen<StateCommand> Command = Gen.Select(
        Gen.Enum<StateAction>(), Key, Value, Gen.OneOf(0L, 0, 5, 20, 51), Gen.Enum<StateCondition>(), Gen.Long[0, 20], Value,
        (action, key, value, timeToLive, condition, expected, expectedValue) => new StateCommand(action, key)
        {
            Value = value,
            TimeToLive = timeToLive,
            Condition = condition,
            Expected = expected,
            ExpectedValue = expectedValue,
        });

    private static readonly Gen<(StateCommand Command, long Wait)[]> Commands = Gen.Select(Command, Gen.Long[0, 10]).Array[0, 60];

    [Fact]
    public void The_store_behaves_as_a_dictionary_whose_keys_expire() => Commands.Sample(commands =>
    {
        SharedState state = new(Small);
        Dictionary<string, (byte[] Value, long Version, long ModifiedAt, long ExpiresAt)> model = new(StringComparer.Ordinal);
        long stamp = 1;
        foreach ((StateCommand command, long wait) in commands)
        {
            stamp += wait;
            state.RemoveExpired(stamp);
            long removalAt = state.LastRemovalAt;
            long version = state.Version;
            StateAnswer answer = state.Apply(command, stamp);

            foreach (string gone in model.Where(pair => pair.Value.ExpiresAt != 0 && pair.Value.ExpiresAt <= stamp).Select(pair => pair.Key).ToArray())
            {
                model.Remove(gone);
            }

            StateStatus expected = Expect(model, command, removalAt);
            Assert.Equal(answer.Status == StateStatus.Full ? StateStatus.Done : answer.Status, expected);
            if (answer.Status == StateStatus.Done && command.Action == StateAction.Set)
            {
                Assert.True(answer.Version > version);
                model[command.Key] = (command.Value.ToArray(), answer.Version, stamp, command.TimeToLive == 0 ? 0 : stamp + command.TimeToLive);
            }
            else if (answer.Status == StateStatus.Done && command.Action == StateAction.Delete)
            {
                model.Remove(command.Key);
            }

            AssertEqual(model, state, stamp);
        }
    });

    [Fact]
    public void The_same_commands_give_the_same_state_and_answers_also_across_a_snapshot() => Gen.Select(Commands, Gen.Int[0, 60]).Sample((commands, cut) =>
    {
        SharedState one = new(Small);
        SharedState two = new(Small);
        long stamp = 1;
        for (int i = 0; i < commands.Length; i++)
        {
            if (i == cut)
            {
                two = SharedState.Restore(two.Version, two.LastRemovalAt, two.Entries.OrderBy(entry => entry.Key, StringComparer.Ordinal), Small);
            }

            stamp += commands[i].Wait;
            one.RemoveExpired(stamp);
            two.RemoveExpired(stamp);
            StateCommand? travelled = StateCommandFormat.Decode(StateCommandFormat.Encode(commands[i].Command));
            StateAnswer answer = one.Apply(commands[i].Command, stamp);
            Assert.Equal(answer, two.Apply(travelled, stamp));
            Assert.Equal(answer, StateCommandFormat.DecodeAnswer(StateCommandFormat.Encode(answer)));
        }

        Assert.Equal(Dump(one), Dump(two));
    });

    [Fact]
    public void Whoever_lists_and_then_watches_knows_what_the_store_holds() => Gen.Select(Commands, Gen.Int[1, 7]).Sample((commands, interval) =>
    {
        SharedState state = new(Small with { HistoryMax = 5 });
        Dictionary<string, long> seen = new(StringComparer.Ordinal);
        long next = 1;
        long stamp = 1;
        for (int i = 0; i < commands.Length; i++)
        {
            stamp += commands[i].Wait;
            state.RemoveExpired(stamp);
            state.Apply(commands[i].Command, stamp);
            if (i % interval != 0)
            {
                continue;
            }

            StateChanges changes = state.Changes("a/", next, 100);
            if (changes.IsLagging)
            {
                seen = state.Entries.Where(e => e.Key.StartsWith("a/", StringComparison.Ordinal)).ToDictionary(e => e.Key, e => e.Version, StringComparer.Ordinal);
                next = state.Version + 1;
                continue;
            }

            foreach (StateChange change in changes.Changes)
            {
                if (change.Kind == StateChangeKind.Set)
                {
                    seen[change.Key] = change.Version;
                }
                else
                {
                    Assert.True(seen.Remove(change.Key));
                }
            }

            next = changes.NextVersion;
            Assert.Equal(
                state.Entries.Where(e => e.Key.StartsWith("a/", StringComparison.Ordinal)).Select(e => (e.Key, e.Version)).Order(),
                seen.Select(pair => (pair.Key, pair.Value)).Order());
        }
    });

    [Fact]
    public void No_bytes_make_the_reader_of_commands_throw() =>
        Gen.Byte.Array[0, 80].Sample(bytes =>
        {
            if (bytes.Length > 2)
            {
                bytes[0] = 1;
                bytes[1] %= 4;
                bytes[2] %= 5;
            }

            new SharedState(Small).Apply(StateCommandFormat.Decode(bytes), 1);
            StateCommandFormat.DecodeAnswer(bytes);
        });

    private static StateStatus Expect(
        Dictionary<string, (byte[] Value, long Version, long ModifiedAt, long ExpiresAt)> model, StateCommand command, long removalAt)
    {
        if (command.Action == StateAction.Sweep)
        {
            return StateStatus.Done;
        }

        if (StateKey.Fault(command.Key, Small) is not null)
        {
            return StateStatus.InvalidKey;
        }

        bool exists = model.TryGetValue(command.Key, out var present);
        bool holds = command.Condition switch
        {
            StateCondition.Version => command.Expected == (exists ? present.Version : 0),
            StateCondition.Value => exists && present.Value.AsSpan().SequenceEqual(command.ExpectedValue.Span),
            StateCondition.NotOlder => command.Expected >= (exists ? present.ModifiedAt : removalAt) / 1000,
            _ => true,
        };
        return !holds ? StateStatus.ConditionFailed
            : command.Action == StateAction.Delete ? (exists ? StateStatus.Done : StateStatus.NotFound)
            : command.Value.Length > Small.ValueMax ? StateStatus.ValueTooLarge
            : command.TimeToLive > Small.TimeToLiveMax ? StateStatus.Invalid
            : StateStatus.Done;
    }

    private static void AssertEqual(
        Dictionary<string, (byte[] Value, long Version, long ModifiedAt, long ExpiresAt)> model, SharedState state, long now)
    {
        Assert.Equal(
            model.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (pair.Key, Convert.ToHexString(pair.Value.Value), pair.Value.Version)),
            state.List("", null, 100, now).Entries.Select(entry => (entry.Key, Convert.ToHexString(entry.Value.Span), entry.Version)));
        Assert.Equal(state.Entries.Sum(e => Encoding.UTF8.GetByteCount(e.Key) + e.Value.Length + StateLimits.EntryOverhead), state.Bytes);
        Assert.True(state.Bytes <= Small.TotalMax);
        foreach ((string key, var value) in model)
        {
            Assert.True(state.TryGet(key, now, out StateEntry? entry));
            Assert.Equal(value.Version, entry.Version);
        }
    }

    private static string Dump(SharedState state) =>
        $"{state.Version} {state.LastRemovalAt} {state.Bytes} " + string.Join(
            ' ', state.Entries.OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => $"{e.Key}={Convert.ToHexString(e.Value.Span)}:{e.Version}:{e.ModifiedAt}:{e.ExpiresAt}"));
}
