using System.Text;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Core.Tests.Cluster.State;

public sealed class SharedStateTests
{
    private readonly SharedState _state = new(new StateLimits { TotalMax = 4000, ValueMax = 1000, ExpiredPerEntry = 2, HistoryMax = 3 });

    [Fact]
    public void What_is_set_can_be_read_until_it_is_deleted()
    {
        Assert.Equal(new StateAnswer(StateStatus.Done, 1), Set("a", "1"));
        Assert.Equal("1", Read("a"));
        Assert.Equal(new StateAnswer(StateStatus.Done, 2), Set("a", "2"));
        Assert.Equal("2", Read("a"));
        Assert.Equal(new StateAnswer(StateStatus.Done, 3), Delete("a"));
        Assert.Null(Read("a"));
        Assert.Equal(new StateAnswer(StateStatus.NotFound), Delete("a"));
        Assert.Equal(0, _state.Bytes);
    }

    [Fact]
    public void A_condition_on_the_version_lets_one_of_two_writers_win()
    {
        long version = Set("a", "0").Version;

        StateAnswer first = Set("a", "first", condition: StateCondition.Version, expected: version);
        StateAnswer second = Set("a", "second", condition: StateCondition.Version, expected: version);

        Assert.Equal(StateStatus.Done, first.Status);
        Assert.Equal(new StateAnswer(StateStatus.ConditionFailed, first.Version), second);
        Assert.Equal("first", Read("a"));
    }

    [Fact]
    public void Two_sets_in_one_entry_have_two_versions()
    {
        Assert.NotEqual(Set("a", "1", stamp: 5).Version, Set("a", "2", stamp: 5).Version);
    }

    [Fact]
    public void A_condition_on_version_zero_creates_and_never_replaces()
    {
        Assert.Equal(StateStatus.Done, Set("a", "1", condition: StateCondition.Version, expected: 0).Status);
        Assert.Equal(new StateAnswer(StateStatus.ConditionFailed, 1), Set("a", "2", condition: StateCondition.Version, expected: 0));
    }

    [Fact]
    public void A_condition_on_the_value_compares_bytes_and_fails_without_the_key()
    {
        Assert.Equal(new StateAnswer(StateStatus.ConditionFailed), Set("a", "2", condition: StateCondition.Value, expectedValue: ""));
        Set("a", "1");
        Assert.Equal(StateStatus.ConditionFailed, Set("a", "3", condition: StateCondition.Value, expectedValue: "2").Status);
        Assert.Equal(StateStatus.Done, Set("a", "3", condition: StateCondition.Value, expectedValue: "1").Status);
        Assert.Equal(StateStatus.ConditionFailed, Apply(new(StateAction.Delete, "a") { Condition = StateCondition.Value, ExpectedValue = "1"u8.ToArray() }).Status);
        Assert.Equal(StateStatus.Done, Apply(new(StateAction.Delete, "a") { Condition = StateCondition.Value, ExpectedValue = "3"u8.ToArray() }).Status);
    }

    [Fact]
    public void A_key_is_gone_the_moment_its_time_is_over_for_readers_and_conditions_alike()
    {
        Set("a", "1", stamp: 1000, timeToLive: 50);

        Assert.Equal("1", Read("a", now: 1049));
        Assert.Null(Read("a", now: 1050));
        Assert.Empty(_state.List("", null, 10, 1050).Entries);
        Assert.Equal(new StateAnswer(StateStatus.NotFound), Delete("a", stamp: 1050));
        Assert.Equal(StateStatus.Done, Set("a", "2", stamp: 1050, condition: StateCondition.Version, expected: 0).Status);
        Assert.Equal("2", Read("a", now: 999_999));
    }

    [Fact]
    public void Setting_a_key_again_replaces_its_time_to_live()
    {
        Set("a", "1", stamp: 1000, timeToLive: 50);
        Set("a", "2", stamp: 1010);

        _state.RemoveExpired(2000);

        Assert.Equal("2", Read("a", now: 2000));
    }

    [Fact]
    public void Expired_keys_are_removed_in_bounded_portions()
    {
        for (int i = 0; i < 5; i++)
        {
            Set($"k{i}", "v", stamp: 1, timeToLive: 10);
        }

        Assert.False(_state.HasExpired(10));
        Assert.True(_state.HasExpired(11));
        _state.RemoveExpired(11);
        Assert.Equal(3, _state.Count);
        _state.RemoveExpired(11);
        _state.RemoveExpired(11);
        Assert.Equal((0, 0L), (_state.Count, _state.Bytes));
        Assert.False(_state.HasExpired(11));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a\0b")]
    [InlineData("line\nbreak")]
    public void A_key_that_is_no_text_is_refused(string key) => Assert.Equal(StateStatus.InvalidKey, Set(key, "1").Status);

    [Fact]
    public void Keys_and_values_have_limits_in_bytes()
    {
        Assert.Equal(StateStatus.Done, Set(new string('k', 512), "1").Status);
        Assert.Equal(StateStatus.InvalidKey, Set(new string('k', 513), "1").Status);
        Assert.Equal(StateStatus.InvalidKey, Set(new string('ö', 257), "1").Status);
        Assert.Equal(StateStatus.Done, Set("a", new string('v', 1000)).Status);
        Assert.Equal(StateStatus.ValueTooLarge, Set("a", new string('v', 1001)).Status);
    }

    [Fact]
    public void A_full_store_refuses_what_is_new_and_takes_what_makes_room()
    {
        int keys = 0;
        while (Set($"k{keys}", "v").Status == StateStatus.Done)
        {
            keys++;
        }

        Assert.Equal(StateStatus.Full, Set("one-more", "v").Status);
        Assert.Equal(StateStatus.Done, Set("k0", "w").Status);
        Assert.Equal(StateStatus.Done, Delete("k1").Status);
        Assert.Equal(StateStatus.Done, Set("k1", "v").Status);
        Assert.Equal(keys, _state.Count);
    }

    [Fact]
    public void Expired_keys_make_room_in_a_full_store()
    {
        for (int i = 0; Set($"k{i}", "v", timeToLive: 10).Status == StateStatus.Done; i++)
        {
        }

        Assert.Equal(StateStatus.Done, Set("new", "v", stamp: 100).Status);
    }

    [Fact]
    public void An_update_that_was_overtaken_changes_nothing_and_brings_nothing_back()
    {
        Set("a", "new", stamp: 100_000);

        Assert.Equal(StateStatus.ConditionFailed, Set("a", "old", stamp: 101_000, condition: StateCondition.NotOlder, expected: 99).Status);
        Assert.Equal(StateStatus.Done, Set("a", "newer", stamp: 101_000, condition: StateCondition.NotOlder, expected: 101).Status);
        Delete("a", stamp: 105_000);
        Assert.Equal(StateStatus.ConditionFailed, Set("a", "old", stamp: 106_000, condition: StateCondition.NotOlder, expected: 104).Status);
        Assert.Null(Read("a", now: 106_000));
    }

    [Fact]
    public void Lists_are_ordered_and_paged_and_hold_each_key_once()
    {
        foreach (string key in (string[])["b/2", "a", "b/1", "b", "c", "b/10", "b/3"])
        {
            Set(key, "v");
        }

        List<string> keys = [];
        string? after = null;
        do
        {
            StatePage page = _state.List("b/", after, 2, 0);
            Assert.InRange(page.Entries.Count, 1, 2);
            keys.AddRange(page.Entries.Select(entry => entry.Key));
            after = page.NextKey;
        }
        while (after is not null);

        Assert.Equal(["b/1", "b/10", "b/2", "b/3"], keys);
        Assert.Equal(7, _state.List("", null, 100, 0).Entries.Count);
        Assert.Empty(_state.List("d", null, 100, 0).Entries);
        Assert.Empty(_state.List("b/", "b/3", 100, 0).Entries);
    }

    [Fact]
    public void A_watcher_sees_the_changes_of_its_prefix_in_order()
    {
        Set("a/1", "x", timeToLive: 5, stamp: 1);
        Set("b", "y", stamp: 2);
        _state.RemoveExpired(100);

        StateChanges changes = _state.Changes("a/", 1, 10);

        Assert.Equal([(StateChangeKind.Set, "a/1", 1L), (StateChangeKind.Expired, "a/1", 3L)], changes.Changes.Select(c => (c.Kind, c.Key, c.Version)));
        Assert.Equal((4, false), (changes.NextVersion, changes.IsLagging));
        Assert.Equal((4, false), (_state.Changes("a/", 4, 10).NextVersion, _state.Changes("a/", 4, 10).IsLagging));
        StateChanges first = _state.Changes("", 1, 1);
        Assert.Equal(("a/1", 2), (Assert.Single(first.Changes).Key, first.NextVersion));
    }

    [Fact]
    public void A_watcher_that_lags_is_told_to_list_anew()
    {
        for (int i = 0; i < 5; i++)
        {
            Set("a", "v");
        }

        Assert.True(_state.Changes("", 2, 10).IsLagging);
        Assert.Equal(3, _state.Changes("", 3, 10).Changes.Count);
        Assert.True(_state.Changes("", 7, 10).IsLagging);
        SharedState restored = SharedState.Restore(_state.Version, _state.LastRemovalAt, _state.Entries);
        Assert.True(restored.Changes("", 5, 10).IsLagging);
        Assert.False(restored.Changes("", 6, 10).IsLagging);
    }

    [Fact]
    public void A_command_that_cannot_be_read_is_refused_and_changes_nothing()
    {
        Assert.Equal(StateStatus.Invalid, _state.Apply(null, 1).Status);
        Assert.Null(StateCommandFormat.Decode(default));
        byte[] encoded = StateCommandFormat.Encode(new StateCommand(StateAction.Set, "key") { Value = "v"u8.ToArray() });
        for (int length = 0; length < 28; length++)
        {
            Assert.Null(StateCommandFormat.Decode(encoded.AsMemory(0, length)));
        }

        encoded[0] = 2;
        Assert.Null(StateCommandFormat.Decode(encoded));
        encoded[0] = 1;
        encoded[25] = 0xFF;
        Assert.Null(StateCommandFormat.Decode(encoded));
    }

    private string? Read(string key, long now = 0) =>
        _state.TryGet(key, now, out StateEntry? entry) ? Encoding.UTF8.GetString(entry.Value.Span) : null;

    private StateAnswer Set(
        string key, string value, long stamp = 0, long timeToLive = 0, StateCondition condition = StateCondition.None, long expected = 0, string expectedValue = "") =>
        Apply(
            new StateCommand(StateAction.Set, key)
            {
                Value = Encoding.UTF8.GetBytes(value),
                TimeToLive = timeToLive,
                Condition = condition,
                Expected = expected,
                ExpectedValue = Encoding.UTF8.GetBytes(expectedValue),
            },
            stamp);

    private StateAnswer Delete(string key, long stamp = 0) => Apply(new StateCommand(StateAction.Delete, key), stamp);

    private StateAnswer Apply(StateCommand command, long stamp = 0) => _state.Apply(command, stamp);
}
