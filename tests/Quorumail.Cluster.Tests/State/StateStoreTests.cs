using Quorumail.Cluster.Log;
using Quorumail.Cluster.State;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Cluster.Tests.State;

public sealed class StateStoreTests : IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ReplicationCounters _counters = new();
    private StateStoreState _state = null!;
    private ScriptedLog _log = null!;
    private StateStore _store = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _state = await StateStoreState.OpenAsync(_directory["store"], _counters, new StateLimits { HistoryMax = 10, TotalMax = 10_000 }, Token);
        _log = new ScriptedLog(_state);
        _store = Open(new StateStoreOptions { SweepInterval = TimeSpan.FromMilliseconds(10) });
    }

    public async ValueTask DisposeAsync()
    {
        await _store.DisposeAsync();
        await _state.DisposeAsync();
        _directory.Dispose();
    }

    [Fact]
    public async Task What_is_set_is_read_until_it_is_deleted()
    {
        Assert.Null(await _store.GetAsync("rate_limit_192.168.1.100", token: Token));
        long version = await _store.SetAsync("rate_limit_192.168.1.100", "45", token: Token);

        StateEntry? entry = await _store.GetAsync("rate_limit_192.168.1.100", token: Token);
        Assert.Equal(version, entry?.Version);
        Assert.Equal("45", await _store.GetStringAsync("rate_limit_192.168.1.100", token: Token));
        Assert.True(await _store.DeleteAsync("rate_limit_192.168.1.100", Token));
        Assert.False(await _store.DeleteAsync("rate_limit_192.168.1.100", Token));
        Assert.Null(await _store.GetStringAsync("rate_limit_192.168.1.100", token: Token));
    }

    [Fact]
    public async Task Compare_and_set_tells_the_version_that_stood_in_the_way()
    {
        StateWrite created = await _store.CompareAndSetAsync("lock", 0, "me"u8.ToArray(), token: Token);
        StateWrite second = await _store.CompareAndSetAsync("lock", 0, "you"u8.ToArray(), token: Token);
        StateWrite byValue = await _store.CompareAndSetAsync("lock", "me"u8.ToArray(), "them"u8.ToArray(), token: Token);

        Assert.True(created.IsDone);
        Assert.Equal(new StateWrite(false, created.Version), second);
        Assert.True(byValue.IsDone);
        Assert.False((await _store.CompareAndDeleteAsync("lock", created.Version, Token)).IsDone);
        Assert.True((await _store.CompareAndDeleteAsync("lock", byValue.Version, Token)).IsDone);
    }

    [Fact]
    public async Task What_breaks_a_limit_is_refused_before_it_is_proposed()
    {
        await AssertFaultAsync(StateFault.InvalidKey, () => _store.SetAsync("", "v", token: Token));
        await AssertFaultAsync(StateFault.InvalidKey, () => _store.SetAsync(new string('k', 513), "v", token: Token));
        await AssertFaultAsync(StateFault.InvalidKey, () => _store.SetAsync("lone \ud800 surrogate", "v", token: Token));
        await AssertFaultAsync(StateFault.ValueTooLarge, () => _store.SetAsync("k", new byte[(256 << 10) + 1], token: Token));
        await AssertFaultAsync(StateFault.InvalidTimeToLive, () => _store.SetAsync("k", "v", TimeSpan.Zero, Token));
        await AssertFaultAsync(StateFault.InvalidTimeToLive, () => _store.SetAsync("k", "v", TimeSpan.FromDays(100_000), Token));
        Assert.Equal(0, _log.Proposals);
        await AssertFaultAsync(StateFault.Full, () => _store.SetAsync("k", new byte[10_000], token: Token));
    }

    [Fact]
    public async Task Refused_and_unknown_are_told_apart_and_counted()
    {
        _log.Failure = ProposalOutcome.Refused;
        await AssertFaultAsync(StateFault.Unavailable, () => _store.SetAsync("k", "v", token: Token));
        _log.Failure = ProposalOutcome.Unknown;
        await AssertFaultAsync(StateFault.Unknown, () => _store.SetAsync("k", "v", token: Token));
        _log.Failure = null;
        await _store.SetAsync("k", "v", token: Token);

        ReplicationStats stats = _store.Stats;
        Assert.Equal((1, 0, 2), (stats.Replications, stats.Pending, stats.Failed));
        Assert.True(stats.AverageLatency > TimeSpan.Zero);
    }

    [Fact]
    public async Task Beyond_the_buffer_callers_wait_for_their_turn_and_none_is_lost()
    {
        await using StateStore store = Open(new StateStoreOptions { BufferSize = 2 });
        TaskCompletionSource gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _log.Gate = gate.Task;

        Task<long>[] writes = [.. Enumerable.Range(0, 5).Select(i => store.SetAsync($"k{i}", "v", token: Token).AsTask())];
        Assert.Equal((2, 5L), (_log.Proposals, store.Stats.Pending));
        Assert.All(writes, write => Assert.False(write.IsCompleted));

        gate.SetResult();
        await Task.WhenAll(writes);
        Assert.Equal((5, 0L, 0L), (_log.Proposals, store.Stats.Pending, store.Stats.Failed));
        Assert.Equal(5, (await store.ListAsync("k", token: Token)).Entries.Count);
    }

    [Fact]
    public async Task A_caller_whose_turn_does_not_come_in_time_learns_that_nothing_was_changed()
    {
        await using StateStore store = Open(new StateStoreOptions { BufferSize = 1, WriteTimeout = TimeSpan.FromMilliseconds(50) });
        TaskCompletionSource gate = new();
        _log.Gate = gate.Task;
        _log.IsDeaf = true;

        Task<long> first = store.SetAsync("a", "v", token: Token).AsTask();
        await AssertFaultAsync(StateFault.Unavailable, () => store.SetAsync("b", "v", token: Token));
        gate.SetResult();
        await first;
        Assert.Equal((1, null), (_log.Proposals, await store.GetStringAsync("b", token: Token)));
    }

    [Fact]
    public async Task Only_reads_that_must_be_fresh_wait_for_the_log()
    {
        await _store.SetAsync("k", "v", token: Token);
        await _store.GetAsync("k", ReadConsistency.Local, Token);
        await _store.GetAsync("k", ReadConsistency.Leader, Token);
        Assert.Equal(0, _log.Barriers);
        await _store.GetAsync("k", ReadConsistency.Linearizable, Token);
        Assert.Equal(1, _log.Barriers);
        _log.Leads = false;
        await _store.GetAsync("k", ReadConsistency.Leader, Token);
        await _store.ListAsync("k", consistency: ReadConsistency.Linearizable, token: Token);
        Assert.Equal(3, _log.Barriers);

        _log.BarrierFailure = new InvalidOperationException("no majority");
        await AssertFaultAsync(StateFault.Unavailable, () => _store.GetAsync("k", ReadConsistency.Linearizable, Token));
        Assert.Equal("v", await _store.GetStringAsync("k", ReadConsistency.Local, Token));
    }

    [Fact]
    public async Task A_read_without_a_majority_ends_in_time()
    {
        await using StateStore store = Open(new StateStoreOptions { ReadTimeout = TimeSpan.FromMilliseconds(50) });
        _log.Gate = new TaskCompletionSource().Task;

        await AssertFaultAsync(StateFault.Unavailable, () => store.GetAsync("k", ReadConsistency.Linearizable, Token));
    }

    [Fact]
    public async Task A_watcher_sees_every_change_of_its_prefix_in_order()
    {
        await using IAsyncEnumerator<StateChange> watch = _store.WatchAsync("a/", 1, Token).GetAsyncEnumerator(Token);
        ValueTask<bool> next = watch.MoveNextAsync();
        Assert.False(next.IsCompleted);

        await _store.SetAsync("b", "1", token: Token);
        await _store.SetAsync("a/1", "2", token: Token);
        await _store.DeleteAsync("a/1", Token);

        Assert.True(await next);
        Assert.Equal((StateChangeKind.Set, "a/1", 2L), (watch.Current.Kind, watch.Current.Key, watch.Current.Version));
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal((StateChangeKind.Deleted, "a/1", 3L), (watch.Current.Kind, watch.Current.Key, watch.Current.Version));
    }

    [Fact]
    public async Task A_watcher_that_lags_is_told_to_list_anew()
    {
        for (int i = 0; i < 20; i++)
        {
            await _store.SetAsync("k", "v", token: Token);
        }

        await AssertFaultAsync(StateFault.WatchLagged, async () =>
        {
            await foreach (StateChange change in _store.WatchAsync("", 1, Token))
            {
                Assert.Fail(change.Key);
            }

            return 0;
        });
    }

    [Fact]
    public async Task An_expired_key_is_removed_without_anyones_command_and_watchers_are_told()
    {
        await _store.SetAsync("session", "v", TimeSpan.FromSeconds(5), Token);
        await using IAsyncEnumerator<StateChange> watch = _store.WatchAsync("session", 2, Token).GetAsyncEnumerator(Token);
        _log.ClusterTime += 5000;
        Assert.Null(await _store.GetAsync("session", token: Token));

        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(StateChangeKind.Expired, watch.Current.Kind);
        Assert.Equal(0, _store.Count);
    }

    [Fact]
    public async Task An_update_in_the_guides_form_is_taken_unless_it_was_overtaken()
    {
        _log.ClusterTime = 100_000;
        Assert.True((await _store.TakeUpdateAsync("k", "new", 100, false, Token)).IsDone);
        Assert.False((await _store.TakeUpdateAsync("k", "old", 99, false, Token)).IsDone);
        Assert.True((await _store.TakeUpdateAsync("k", "", 101, true, Token)).IsDone);
        Assert.False((await _store.TakeUpdateAsync("k", "old", 99, false, Token)).IsDone);
        Assert.Null(await _store.GetStringAsync("k", token: Token));
    }

    private static async Task AssertFaultAsync<T>(StateFault fault, Func<ValueTask<T>> act)
    {
        StateException exception = await Assert.ThrowsAsync<StateException>(async () => await act());
        Assert.Equal(fault, exception.Fault);
        Assert.NotEmpty(exception.Message);
    }

    private StateStore Open(StateStoreOptions options) => new(_state, _log, options, _counters, TimeProvider.System);
}
