using CsCheck;
using Quorumail.Core.Limits;

namespace Quorumail.Core.Tests.Limits;

public sealed class LimitStateTests
{
    private static readonly LimitDefinition Rate = new("rate", LimitKind.Rate, 10, 1000, LimitPolicy.Closed);
    private static readonly LimitDefinition Slots = new("slots", LimitKind.Concurrency, 2, 1000, LimitPolicy.Closed);

    private static readonly Gen<string> Node = Gen.Int[1, 3].Select(n => $"n{n}");
    private static readonly Gen<string> Key = Gen.Int[1, 3].Select(n => $"k{n}");
    private static readonly Gen<string> Limit = Gen.Int[0, 2].Select(n => n == 0 ? "rate" : n == 1 ? "slots" : "none");

    private static readonly Gen<LimitCommand> Command = Gen.Frequency<LimitCommand>(
        (1, Gen.Select(Gen.Bool, Gen.Int[0, 12], Gen.Int[1, 2], Gen.Int[1, 2], Gen.Bool, (slots, capacity, period, policy, keepsShares) =>
            (LimitCommand)new DefineLimitCommand((slots ? Slots : Rate) with
            {
                Capacity = capacity,
                Period = period * 500,
                Policy = (LimitPolicy)policy,
            }, keepsShares))),
        (1, Limit.Select(limit => (LimitCommand)new RemoveLimitCommand(limit))),
        (1, Node.Array[0, 3].Select(nodes => (LimitCommand)new LimitNodesCommand(nodes))),
        (1, Gen.Select(Node, Gen.Int[0, 3], Gen.Long[0, 9], (node, members, shares) => (LimitCommand)new AdoptShareCommand(node, members, shares))),
        (6, Gen.Select(Limit, Key, Node, Gen.Int[0, 5], (limit, key, node, count) => (LimitCommand)new WantTokensCommand(limit, key, node, count))),
        (2, Gen.Select(Key, Node, Gen.Int[1, 6], Gen.Int[1, 3], (key, node, until, count) =>
            (LimitCommand)new ReturnTokensCommand("rate", key, node, until * 500, count))),
        (4, Gen.Select(Limit, Key, Node, (limit, key, node) => (LimitCommand)new WantSlotCommand(limit, key, node))),
        (2, Gen.Select(Key, Node, Gen.Long[0, 8], (key, node, slot) => (LimitCommand)new KeepSlotCommand("slots", key, node, slot))),
        (2, Gen.Select(Key, Node, Gen.Long[0, 8], (key, node, slot) => (LimitCommand)new FreeSlotCommand("slots", key, node, slot))));

    private readonly LimitState _state = new();

    [Fact]
    public void Tokens_are_granted_up_to_the_capacity_of_each_window()
    {
        _state.Apply(new DefineLimitCommand(Rate), 0);
        Assert.Equal(new LimitAnswer(LimitStatus.Granted, 6, 1000), _state.Apply(new WantTokensCommand("rate", "k", "a", 6), 10));
        Assert.Equal(new LimitAnswer(LimitStatus.Granted, 4, 1000), _state.Apply(new WantTokensCommand("rate", "k", "b", 6), 20));
        Assert.Equal(new LimitAnswer(LimitStatus.Exhausted, 0, 1000), _state.Apply(new WantTokensCommand("rate", "k", "b", 1), 30));
        Assert.Equal(10, _state.Apply(new WantTokensCommand("rate", "other", "b", 99), 30).Count);
        Assert.Equal(LimitStatus.Granted, _state.Apply(new ReturnTokensCommand("rate", "k", "a", 1000, 2), 40).Status);
        Assert.Equal(2, _state.Apply(new WantTokensCommand("rate", "k", "b", 6), 50).Count);
        Assert.Equal(LimitStatus.Expired, _state.Apply(new ReturnTokensCommand("rate", "k", "a", 1000, 2), 1000).Status);
        Assert.Equal(6, _state.Apply(new WantTokensCommand("rate", "k", "b", 6), 1000).Count);
    }

    [Fact]
    public void A_slot_is_leased_kept_and_free_again_when_its_lease_has_ended()
    {
        _state.Apply(new DefineLimitCommand(Slots), 0);
        var first = _state.Apply(new WantSlotCommand("slots", "k", "a"), 0);
        Assert.Equal(new LimitAnswer(LimitStatus.Granted, 1, 1000, 1), first);
        _state.Apply(new WantSlotCommand("slots", "k", "b"), 100);
        Assert.Equal(new LimitAnswer(LimitStatus.Exhausted, 0, 1000), _state.Apply(new WantSlotCommand("slots", "k", "c"), 200));
        Assert.Equal(1900, _state.Apply(new KeepSlotCommand("slots", "k", "a", 1), 900).Until);
        Assert.Equal(LimitStatus.Granted, _state.Apply(new WantSlotCommand("slots", "k", "c"), 1100).Status);
        Assert.Equal(LimitStatus.Expired, _state.Apply(new KeepSlotCommand("slots", "k", "b", 2), 1100).Status);
        Assert.Equal(LimitStatus.Granted, _state.Apply(new FreeSlotCommand("slots", "k", "a", 1), 1200).Status);
        Assert.Equal(LimitStatus.Expired, _state.Apply(new FreeSlotCommand("slots", "k", "a", 1), 1200).Status);
        Assert.Equal(LimitStatus.Granted, _state.Apply(new WantSlotCommand("slots", "k", "d"), 1200).Status);
    }

    [Fact]
    public void Shares_are_reserved_until_a_node_has_adopted_another()
    {
        var shared = Rate with { Capacity = 24, Policy = LimitPolicy.Share };
        _state.Apply(new DefineLimitCommand(shared), 0);
        _state.Apply(new LimitNodesCommand(["a", "b", "c"]), 0);
        Assert.Equal(12, _state.PoolOf(shared, 0));
        _state.Apply(new LimitNodesCommand(["a", "b", "c", "d"]), 100);
        Assert.Equal(24 - 4 - 4 - 4 - 3, _state.PoolOf(shared, 100));
        Assert.Equal(LimitStatus.Unknown, _state.Apply(new AdoptShareCommand("a", 3), 200).Status);
        Assert.Equal(LimitStatus.Granted, _state.Apply(new AdoptShareCommand("a", 4), 200).Status);
        Assert.Equal(9, _state.PoolOf(shared, 200));
        Assert.Equal(10, _state.PoolOf(shared, 1000));
    }

    [Theory]
    [InlineData(LimitPolicy.Closed, 24)]
    [InlineData(LimitPolicy.Share, 12)]
    public void A_definition_that_lessens_shares_gives_them_to_nobody_before_their_node_has_adopted_it(LimitPolicy policy, int capacity)
    {
        var shared = Rate with { Capacity = 24, Policy = LimitPolicy.Share };
        var next = shared with { Capacity = capacity, Policy = policy };
        _state.Apply(new DefineLimitCommand(shared), 0);
        _state.Apply(new LimitNodesCommand(["a", "b", "c"]), 0);
        _state.Apply(new DefineLimitCommand(next, KeepsShares: true), 100);
        Assert.Equal(capacity - 12, _state.PoolOf(next, 100));
        Assert.Equal(capacity - 12, _state.PoolOf(next, 2000));

        var numbers = _state.Shares.ToDictionary(share => share.Node, share => share.Number);
        _state.Apply(new AdoptShareCommand("a", 3), 2000);
        _state.Apply(new AdoptShareCommand("b", 3, numbers["b"]), 2000);
        _state.Apply(new LimitNodesCommand(["a", "b"]), 2000);
        Assert.Equal(capacity - 12, _state.PoolOf(next, 2999));
        Assert.Equal(capacity - 4 - next.ReserveOf(3), _state.PoolOf(next, 3000));
        _state.Apply(new AdoptShareCommand("a", 2, numbers["a"]), 3000);
        Assert.Equal(capacity - next.ReserveOf(2) - next.ReserveOf(3), _state.PoolOf(next, 4000));
    }

    [Fact]
    public void A_share_of_connections_is_granted_to_others_when_its_node_has_closed_them()
    {
        var shared = Slots with { Policy = LimitPolicy.Share };
        _state.Apply(new DefineLimitCommand(shared), 0);
        _state.Apply(new LimitNodesCommand(["a"]), 0);
        LimitLedger ledger = new("a", 50);
        ledger.Define(shared, 0);
        ledger.Share(1, 0);
        var own = ledger.Open("slots", "k", 5000).Slot!;
        Assert.Equal(0, own.Number);

        var closed = Slots with { Policy = LimitPolicy.Closed };
        _state.Apply(new DefineLimitCommand(closed, KeepsShares: true), 5000);
        ledger.Define(closed, 5000);
        var number = Assert.Single(_state.Shares).Number;
        Assert.Null(ledger.Adopt(1, 5000, number));
        Assert.Equal(LimitStatus.Granted, _state.Apply(new WantSlotCommand("slots", "k", "a"), 5000).Status);
        Assert.Equal(LimitStatus.Exhausted, _state.Apply(new WantSlotCommand("slots", "k", "a"), 5000).Status);
        ledger.Close(own);
        _state.Apply(ledger.Adopt(1, 5100, number)!, 5100);
        Assert.Equal(LimitStatus.Granted, _state.Apply(new WantSlotCommand("slots", "k", "a"), 5100).Status);
    }

    [Fact]
    public void What_is_persisted_restores_to_the_live_state() =>
        Gen.Select(Gen.Select(Command, Gen.Int[0, 300]).Array[1, 50], Gen.Int[0, 50]).Sample((steps, cut) =>
        {
            var bounds = new LimitBounds { MaxKeys = 3 };
            var live = new LimitState(bounds);
            var stamp = 0L;
            foreach (var (command, wait) in steps.Take(cut))
            {
                live.Apply(command, stamp += wait);
            }

            var restored = LimitState.Restore(live.Records, bounds);
            foreach (var (command, wait) in steps.Skip(cut))
            {
                stamp += wait;
                var limits = live.Definitions.ToArray();
                Assert.Equal(live.Apply(command, stamp), restored.Apply(command, stamp));
                var (one, other) = (live.Records, restored.Records);
                Assert.Equal(one.Grants, other.Grants);
                Assert.Equal(one.Members, other.Members);
                Assert.Equal(one.Shares, other.Shares);
                Assert.Equal((one.NextSlot, live.KeyCount), (other.NextSlot, restored.KeyCount));
                Assert.True(live.KeyCount <= bounds.MaxKeys);
                Assert.All(
                    limits.Where(l => command is WantTokensCommand or WantSlotCommand && live.Definitions.Contains(l)),
                    l => Assert.All((string[])["k1", "k2", "k3"], k => Assert.True(live.GrantedOf(l.Name, k, stamp) <= 12)));
            }
        }, iter: 300);
}
