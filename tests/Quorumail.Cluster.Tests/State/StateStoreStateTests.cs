using Quorumail.Cluster.State;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Cluster.Tests.State;

public sealed class StateStoreStateTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ReplicationCounters _counters = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_was_flushed_is_there_after_a_restart_and_the_rest_is_for_the_log()
    {
        await using (StateStoreState state = await OpenAsync())
        {
            Set(state, 7, "a", "1");
            Set(state, 8, "gone", "1", timeToLive: 5);
            Assert.Equal(8, await state.FlushAsync(Token));
            Set(state, 9, "b", "2");
        }

        await using StateStoreState reopened = await OpenAsync();
        Assert.Equal(8, reopened.AppliedIndex);
        Assert.Equal("1"u8.ToArray(), reopened.Get("a", 8)?.Value.ToArray());
        Assert.Equal((1L, 7L, 0L), (reopened.Get("a", 8)!.Version, reopened.Get("a", 8)!.ModifiedAt, reopened.Get("a", 8)!.ExpiresAt));
        Assert.Null(reopened.Get("b", 8));
        Assert.NotNull(reopened.Get("gone", 12));
        Assert.Null(reopened.Get("gone", 13));
        Set(reopened, 9, "b", "2");
        Assert.Equal(3, reopened.Get("b", 9)?.Version);
    }

    [Fact]
    public async Task An_interrupted_write_leaves_the_old_file()
    {
        await using (StateStoreState state = await OpenAsync())
        {
            Set(state, 1, "a", "1");
            await state.FlushAsync(Token);
        }

        await File.WriteAllTextAsync(_directory["store/state.new"], "half", Token);
        await using StateStoreState reopened = await OpenAsync();
        Assert.Equal(1, reopened.AppliedIndex);
        Set(reopened, 2, "a", "2");
        Assert.Equal(2, await reopened.FlushAsync(Token));
    }

    [Fact]
    public async Task A_damaged_file_is_never_taken_for_state()
    {
        await using (StateStoreState state = await OpenAsync())
        {
            Set(state, 1, "a", "1");
            Set(state, 2, "b", "value");
            await state.FlushAsync(Token);
        }

        byte[] good = await File.ReadAllBytesAsync(_directory["store/state"], Token);
        for (int i = 0; i < good.Length; i++)
        {
            byte[] bad = [.. good];
            bad[i] ^= 0x10;
            await AssertDamagedAsync(bad);
            await AssertDamagedAsync(good[..i]);
        }
    }

    [Fact]
    public async Task Equal_states_have_equal_snapshots_and_a_loaded_one_goes_on_as_the_one_that_saved_it()
    {
        await using StateStoreState one = await OpenAsync("one");
        await using StateStoreState two = await OpenAsync("two");
        for (int i = 0; i < 100; i++)
        {
            Set(one, i + 1, $"k{i * 37 % 50}", new string('v', i), timeToLive: i % 3);
        }

        using MemoryStream snapshot = new();
        Assert.Equal(100, await one.SaveSnapshotAsync(snapshot, Token));
        snapshot.Position = 0;
        Task more = Task.CompletedTask;
        Assert.Empty(two.Changes("", 1, 10, out more).Changes);
        await two.LoadSnapshotAsync(snapshot, 100, Token);

        await more.WaitAsync(TimeSpan.FromSeconds(10), Token);
        Assert.True(two.Changes("", 1, 10, out _).IsLagging);
        Assert.Equal(100, two.AppliedIndex);
        Set(one, 101, "k1", "x");
        Set(two, 101, "k1", "x");
        Assert.Equal(await SnapshotAsync(one), await SnapshotAsync(two));
        await using StateStoreState reopened = await OpenAsync("two");
        Assert.Equal(100, reopened.AppliedIndex);
    }

    [Fact]
    public async Task A_damaged_snapshot_changes_nothing()
    {
        await using StateStoreState state = await OpenAsync();
        Set(state, 1, "a", "1");
        byte[] snapshot = await SnapshotAsync(state);
        snapshot[^20] ^= 1;

        await Assert.ThrowsAsync<InvalidDataException>(async () => await state.LoadSnapshotAsync(new MemoryStream(snapshot), 50, Token));

        Assert.Equal(1, state.AppliedIndex);
        Assert.NotNull(state.Get("a", 1));
    }

    [Fact]
    public async Task A_large_store_is_written_beside_the_applying_and_in_the_end_everything_is_durable()
    {
        await using StateStoreState state = await OpenAsync();
        byte[] value = new byte[64 << 10];
        long index = 0;
        for (; index < 40; index++)
        {
            Set(state, index + 1, $"k{index}", value);
        }

        // The first flush begins a write; what it returns is what was durable before. Some later one tells of it.
        Assert.Equal(0, await state.FlushAsync(Token));
        long durable = 0;
        for (int flushes = 0; flushes < 20 && durable < 41; flushes++)
        {
            Set(state, ++index, "small", "v");
            long now = await state.FlushAsync(Token);
            Assert.InRange(now, durable, index);
            durable = now;
        }

        Assert.True(durable >= 41, $"durable up to {durable}");
        await state.DisposeAsync();
        await using StateStoreState reopened = await OpenAsync();
        Assert.True(reopened.AppliedIndex >= durable);
        Assert.Equal(value, reopened.Get("k39", 0)?.Value.ToArray());
    }

    public void Dispose() => _directory.Dispose();

    private static void Set(StateStoreState state, long index, string key, string value, long timeToLive = 0) =>
        Set(state, index, key, System.Text.Encoding.UTF8.GetBytes(value), timeToLive);

    private static void Set(StateStoreState state, long index, string key, byte[] value, long timeToLive = 0)
    {
        ReadOnlyMemory<byte>[] answers = [default];
        state.Apply(index, index, [StateCommandFormat.Encode(new StateCommand(StateAction.Set, key) { Value = value, TimeToLive = timeToLive })], answers);
        Assert.Equal(StateStatus.Done, StateCommandFormat.DecodeAnswer(answers[0].Span).Status);
    }

    private static async Task<byte[]> SnapshotAsync(StateStoreState state)
    {
        using MemoryStream snapshot = new();
        await state.SaveSnapshotAsync(snapshot, Token);
        return snapshot.ToArray();
    }

    private async Task AssertDamagedAsync(byte[] contents)
    {
        await File.WriteAllBytesAsync(_directory["store/state"], contents, Token);
        InvalidDataException damage = await Assert.ThrowsAsync<InvalidDataException>(async () => await OpenAsync());
        Assert.Contains(_directory["store/state"], damage.Message, StringComparison.Ordinal);
    }

    private Task<StateStoreState> OpenAsync(string name = "store") => StateStoreState.OpenAsync(_directory[name], _counters, null, Token);
}
