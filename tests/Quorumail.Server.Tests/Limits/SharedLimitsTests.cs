using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quorumail.Core.Limits;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Tests.Limits;

public sealed class SharedLimitsTests
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 1, 2, 3, TimeSpan.Zero));
    private readonly DirectLog _log;

    public SharedLimitsTests() => _log = new DirectLog(_time);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_is_no_limit_limits_nothing_and_asks_nobody()
    {
        await using var node = _log.NodeOf("n1");
        Assert.False(node.AreAny);
        for (var i = 0; i < 1000; i++)
        {
            Assert.Equal(LimitVerdict.Passed, node.TryTake("none", "k", out _, out _));
        }

        Assert.Equal(0, _log.Proposals);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(1000)]
    public async Task Three_nodes_together_take_exactly_what_there_is(int capacity)
    {
        _log.Define("rate", capacity);
        await using var first = _log.NodeOf("n1");
        await using var second = _log.NodeOf("n2");
        await using var third = _log.NodeOf("n3");
        var taken = await Task.WhenAll(new[] { first, second, third }.SelectMany(node => Enumerable.Repeat(node, 8)).Select(node => Task.Run(() => TakeAllAsync(node, "rate"), Token)));
        Assert.Equal(capacity, taken.Sum());
        _time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(LimitVerdict.Passed, await TakeAsync(second, "rate"));
    }

    [Fact]
    public async Task What_is_granted_and_not_known_to_be_is_not_used()
    {
        _log.Define("rate", 100);
        var count = 0;
        _log.Decide = command => Task.FromResult(command is not WantTokensCommand || Interlocked.Increment(ref count) % 3 != 0);
        await using var first = _log.NodeOf("n1");
        await using var second = _log.NodeOf("n2");
        var taken = 0;
        for (var round = 0; round < 60; round++)
        {
            taken += await TakeAllAsync(first, "rate") + await TakeAllAsync(second, "rate");
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.InRange(taken, 50, 99);
    }

    [Fact]
    public async Task Many_messages_share_a_question_to_the_log_and_wait_for_none_in_the_long_run()
    {
        _log.Define("rate", 1_000_000);
        await using var node = _log.NodeOf("n1");
        var waits = 0;
        for (var i = 0; i < 20_000; i++)
        {
            while (node.TryTake("rate", "k", out _, out var wait) == LimitVerdict.Wait)
            {
                waits++;
                await wait!.WaitAsync(Token);
            }

            if (i % 1000 == 0)
            {
                // The answers to questions asked in advance have time to come, as in the time of 1 000 messages.
                _time.Advance(TimeSpan.FromMilliseconds(100));
                await Task.Yield();
            }
        }

        Assert.InRange(_log.Proposals, 1, 100);
        Assert.InRange(waits, 1, 40);
    }

    [Fact]
    public async Task A_question_whose_answer_does_not_come_keeps_nobody_who_has_no_patience()
    {
        _log.Define("rate", 10);
        var answer = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        _log.Decide = _ => answer.Task;
        await using var node = _log.NodeOf("n1");
        var limits = new ConnectionLimits(node);
        Assert.Equal(LimitVerdict.Wait, node.TryTake("rate", "k", out _, out var wait));
        await Assert.ThrowsAsync<TimeoutException>(() => wait!.WaitAsync(TimeSpan.FromMilliseconds(1), Token));
        Assert.Equal(LimitVerdict.Passed, limits.Try(out _));
        answer.SetResult(true);
        await wait!.WaitAsync(Token);
        Assert.Equal(LimitVerdict.Passed, node.TryTake("rate", "k", out _, out _));
    }

    [Fact]
    public async Task Tokens_that_nobody_wants_any_more_go_to_the_other_nodes()
    {
        _log.Define("rate", 1000);
        await using var first = _log.NodeOf("n1");
        await using var second = _log.NodeOf("n2");
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal(LimitVerdict.Passed, await TakeAsync(first, "rate"));
        }

        var granted = Assert.Single(_log.State.Usage(0)).Granted;
        Assert.InRange(granted, 21, 100);
        Assert.InRange(await TakeAllAsync(second, "rate"), 900, 1000 - (int)granted);

        // Two seconds later.
        for (var i = 0; i < 8; i++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(500));
            await Task.Delay(20, Token);
        }

        Assert.InRange(await TakeAllAsync(second, "rate"), 1, (int)granted - 20);
        Assert.Equal(1000, Assert.Single(_log.State.Usage(0)).Granted);
    }

    [Fact]
    public async Task A_node_that_stops_gives_back_what_it_has()
    {
        _log.Define("rate", 1000);
        var node = _log.NodeOf("n1");
        for (var i = 0; i < 20; i++)
        {
            await TakeAsync(node, "rate");
        }

        await node.DisposeAsync();
        Assert.Equal(20, Assert.Single(_log.State.Usage(0)).Granted);
    }

    [Fact]
    public async Task The_leader_makes_the_limits_of_its_configuration_and_its_members_the_clusters()
    {
        _log.Define("old", 5);
        LimitDefinition[] wanted = [new("new", LimitKind.Rate, 30, 60_000, LimitPolicy.Share)];
        await using var duties = new LimitDuties(
            _log.State, wanted, () => ["n2", "n1"], () => true, () => true, _log.ProposeAsync, _time, NullLogger.Instance);
        await duties.SettleAsync(Token);
        Assert.True(duties.IsSettled);
        Assert.Equal(wanted, _log.State.Rules.Limits);
        Assert.Equal(2, _log.State.Rules.MembersOf("n1"));
    }

    [Fact]
    public async Task Nobody_is_told_of_limits_before_every_member_knows_them_or_by_who_does_not_lead()
    {
        LimitDefinition[] wanted = [new("new", LimitKind.Rate, 30, 60_000, LimitPolicy.Closed)];
        await using var young = new LimitDuties(_log.State, wanted, () => ["n1"], () => false, () => false, _log.ProposeAsync, _time, NullLogger.Instance);
        await using var follower = new LimitDuties(_log.State, wanted, () => [], () => true, () => true, _log.ProposeAsync, _time, NullLogger.Instance);
        for (var i = 0; i < 10; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        Assert.Equal(0, _log.Proposals);
    }

    [Fact]
    public async Task Shares_are_lessened_when_every_member_knows_how()
    {
        _log.Define("rate", 24, LimitPolicy.Share);
        _log.Apply(new LimitNodesCommand(["n1", "n2", "n3"]));
        var isKnown = false;
        LimitDefinition[] wanted = [_log.State.Rules.Limits[0] with { Policy = LimitPolicy.Closed }];
        await using var duties = new LimitDuties(
            _log.State, wanted, () => ["n1", "n2", "n3"], () => true, () => Volatile.Read(ref isKnown), _log.ProposeAsync, _time, NullLogger.Instance);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(0, _log.Proposals);
        Volatile.Write(ref isKnown, true);
        while (!duties.IsSettled)
        {
            _time.Advance(TimeSpan.FromMilliseconds(250));
            await Task.Yield();
        }

        Assert.Equal(12, Assert.Single(_log.State.Usage(0)).Reserved);
        await using var node = _log.NodeOf("n1");
        while (_log.State.Rules.KeptFor("n1") > 0)
        {
            _time.Advance(TimeSpan.FromMilliseconds(500));
            await Task.Yield();
        }

        Assert.Equal(2, _log.State.Rules.Shares.Count(share => share.Until == long.MaxValue));
    }

    private static async Task<int> TakeAllAsync(SharedLimits node, string limit)
    {
        var taken = 0;
        while (await TakeAsync(node, limit) == LimitVerdict.Passed)
        {
            taken++;
        }

        return taken;
    }

    private static async Task<LimitVerdict> TakeAsync(SharedLimits node, string limit)
    {
        while (true)
        {
            var verdict = node.TryTake(limit, "k", out _, out var wait);
            if (verdict != LimitVerdict.Wait)
            {
                return verdict;
            }

            await wait!.WaitAsync(Token);
        }
    }
}
