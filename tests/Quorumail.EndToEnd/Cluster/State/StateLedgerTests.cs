using System.Diagnostics;
using Quorumail.Cluster.Tests.Linearizability;

namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>The ledger itself: what was promised and kept is green, and each kind of broken promise turns it red.</summary>
public sealed class StateLedgerTests
{
    private const string Key = StateLedger.OncePrefix + "a";

    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(3);
    private static readonly StoredValue Stored = new("v", 7);

    private readonly StateLedger _ledger = new();

    [Fact]
    public void What_was_promised_and_kept_is_green()
    {
        _ledger.Add(Set(Key, "v"));
        _ledger.Add(Set("shared/k", "1"));
        _ledger.Add(Set(StateLedger.OncePrefix + "refused", "v", RegisterOutcome.Refused));
        _ledger.Add(Set(StateLedger.OncePrefix + "unknown", "v", RegisterOutcome.Unknown));
        _ledger.Led(1, "node1");
        _ledger.Led(2, "node1");
        var holds = Holding((Key, Stored), (StateLedger.OncePrefix + "unknown", Stored), ("shared/k", new StoredValue("1", 8)));

        var verdict = _ledger.Settle([holds, holds, holds], Grace);

        Assert.True(verdict.IsGreen, verdict.ToString());
        Assert.Equal((2, 1, 1, 1, 2), (verdict.Acknowledged, verdict.Refused, verdict.Unknown, verdict.UnknownButThere, verdict.Elections));
    }

    [Fact]
    public void An_acknowledged_write_that_one_node_lacks_is_lost()
    {
        _ledger.Add(Set(Key, "v"));

        var verdict = _ledger.Settle([Holding((Key, Stored)), Holding((Key, Stored)), Holding()], Grace);

        Assert.Equal([Key + " on node3"], verdict.Lost);
        Assert.NotEmpty(verdict.Diverged);
        Assert.False(verdict.IsGreen);
    }

    [Fact]
    public void Another_value_than_the_acknowledged_one_is_caught()
    {
        _ledger.Add(Set(Key, "v"));

        Assert.NotEmpty(_ledger.Settle([Holding((Key, Stored with { Value = "w" }))], Grace).Changed);
    }

    [Fact]
    public void Another_version_than_the_acknowledged_one_is_caught()
    {
        _ledger.Add(Set(Key, "v"));

        Assert.NotEmpty(_ledger.Settle([Holding((Key, Stored with { Version = 8 }))], Grace).Changed);
    }

    [Fact]
    public void A_refused_write_that_happened_is_caught()
    {
        _ledger.Add(Set(Key, "v", RegisterOutcome.Refused));

        Assert.NotEmpty(_ledger.Settle([Holding((Key, Stored))], Grace).Phantoms);
    }

    [Fact]
    public void A_register_that_has_lost_its_last_write_is_caught()
    {
        _ledger.Add(Set("shared/k", "1"));
        _ledger.Add(Set("shared/k", "2"));

        Assert.NotEmpty(_ledger.Settle([Holding(("shared/k", new StoredValue("1", 1)))], Grace).NotLinearizable);
    }

    [Fact]
    public void A_register_that_is_not_the_same_on_all_nodes_is_caught()
    {
        _ledger.Add(Set("shared/k", "1", RegisterOutcome.Unknown));

        Assert.NotEmpty(_ledger.Settle([Holding(("shared/k", new StoredValue("1", 1))), Holding()], Grace).Diverged);
    }

    [Fact]
    public void Two_leaders_in_one_term_are_caught()
    {
        _ledger.Led(3, "node1");
        _ledger.Led(3, "node2");

        Assert.Equal(["term 3: node1 and node2"], _ledger.Settle([], Grace).TwoLeaders);
    }

    [Fact]
    public void What_a_node_answers_too_long_after_it_lost_its_majority_is_caught()
    {
        _ledger.Isolate(0);
        _ledger.Add(Set(Key, "v"));
        _ledger.Add(Set(Key + "b", "v") with { Node = 1 });
        _ledger.EndIsolations();
        var holds = Holding((Key, Stored), (Key + "b", Stored));

        Assert.Empty(_ledger.Settle([holds], Grace).Late);
        Assert.Single(_ledger.Settle([holds], TimeSpan.Zero).Late);
    }

    [Fact]
    public void An_answer_that_the_interface_does_not_have_is_caught()
    {
        _ledger.Add(Set(Key, "v", RegisterOutcome.Unknown) with { Status = 500, IsUnexpected = true });

        Assert.Single(_ledger.Settle([Holding()], Grace).Unexpected);
    }

    private static StateCall Set(string key, string value, RegisterOutcome outcome = RegisterOutcome.Answered)
    {
        var called = Stopwatch.GetTimestamp();
        RegisterOperation operation = new(key, RegisterAction.Set) { Argument = value, Outcome = outcome, Called = called, Returned = Stopwatch.GetTimestamp() };
        return new StateCall(0, operation) { Version = outcome == RegisterOutcome.Answered ? Stored.Version : 0 };
    }

    private static Dictionary<string, StoredValue> Holding(params (string Key, StoredValue Value)[] values) =>
        values.ToDictionary(each => each.Key, each => each.Value, StringComparer.Ordinal);
}
