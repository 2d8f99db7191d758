using CsCheck;

namespace Quorumail.Cluster.Tests.Linearizability;

public sealed class LinearizabilityCheckerTests
{
    [Fact]
    public void One_after_the_other_is_explained() => AssertLinearizable(
        Read(0, 1, null),
        Set(2, 3, "1"),
        Read(4, 5, "1"),
        Swap(6, 7, "1", "2", isDone: true),
        Swap(8, 9, "1", "3", isDone: false),
        Read(10, 11, "2"),
        Delete(12, 13),
        Read(14, 15, null),
        Swap(16, 17, null, "4", isDone: true));

    [Fact]
    public void Concurrent_operations_may_have_happened_in_any_order() => AssertLinearizable(
        Set(0, 10, "1"), Set(0, 10, "2"), Read(1, 2, "2"), Read(3, 4, "1"), Read(11, 12, "1"));

    [Fact]
    public void A_read_of_what_was_replaced_before_it_began_is_caught() => AssertViolation(
        Set(0, 1, "1"), Set(2, 3, "2"), Read(4, 5, "1"));

    [Fact]
    public void A_lost_acknowledged_write_is_caught() => AssertViolation(
        Set(0, 1, "1"), Read(2, 3, null));

    [Fact]
    public void Two_compare_and_sets_that_both_won_are_caught() => AssertViolation(
        Set(0, 1, "1"), Swap(2, 9, "1", "2", isDone: true), Swap(2, 9, "1", "3", isDone: true));

    [Fact]
    public void A_compare_and_set_that_failed_without_a_cause_is_caught() => AssertViolation(
        Set(0, 1, "1"), Swap(2, 3, "1", "2", isDone: false));

    [Fact]
    public void A_deleted_key_that_comes_back_is_caught() => AssertViolation(
        Set(0, 1, "1"), Delete(2, 3), Read(4, 5, null), Read(6, 7, "1"));

    [Fact]
    public void Two_readers_who_see_two_orders_are_caught() => AssertViolation(
        Set(0, 20, "1"), Set(0, 20, "2"), Read(1, 2, "1"), Read(3, 4, "2"), Read(5, 6, "1"));

    [Fact]
    public void A_value_that_nobody_wrote_is_caught() => AssertViolation(
        Set(0, 1, "1"), Read(2, 3, "9"));

    [Fact]
    public void An_unknown_write_may_have_happened_late_or_never()
    {
        AssertLinearizable(Set(0, 1, "1"), Unknown(Set(2, 3, "2")), Read(4, 5, "1"), Read(50, 51, "2"));
        AssertLinearizable(Set(0, 1, "1"), Unknown(Set(2, 3, "2")), Read(4, 5, "1"), Read(50, 51, "1"));
        AssertLinearizable(Set(0, 1, "1"), Unknown(Delete(2, 3)), Read(4, 5, null));
        AssertLinearizable(Set(0, 1, "1"), Unknown(Swap(2, 3, "1", "2", isDone: false)), Read(4, 5, "2"));
    }

    [Fact]
    public void An_unknown_write_that_happened_cannot_unhappen_or_happen_before_its_call()
    {
        AssertViolation(Set(0, 1, "1"), Unknown(Set(2, 3, "2")), Read(4, 5, "2"), Read(6, 7, "1"));
        AssertViolation(Set(0, 1, "1"), Read(2, 3, "2"), Unknown(Set(4, 5, "2")));
        AssertViolation(Set(0, 1, "1"), Unknown(Set(2, 3, "2")), Read(4, 5, "2"), Set(6, 7, "3"), Read(8, 9, "2"));
    }

    [Fact]
    public void A_refused_write_that_happened_is_caught() => AssertViolation(
        Set(0, 1, "1"), Set(2, 3, "2") with { Outcome = RegisterOutcome.Refused }, Read(4, 5, "2"));

    [Fact]
    public void Keys_are_checked_by_themselves()
    {
        AssertLinearizable(Set(0, 1, "1"), Set(2, 3, "2") with { Key = "other" }, Read(4, 5, "1"));
        AssertViolation(Set(0, 1, "1"), Set(2, 3, "2") with { Key = "other" }, Read(4, 5, "1"), Read(4, 5, "1") with { Key = "other" });
    }

    /// <summary>Makes histories of a real register, whose operations happen at a random moment of their time.</summary>
    private static readonly Gen<RegisterOperation[]> RealHistory = Gen.Select(
        Gen.Enum<RegisterAction>(), Gen.Int[0, 3], Gen.Int[0, 3], Gen.Int[1, 30], Gen.Int[0, 30], Gen.Int[0, 14]).Array[1, 60].Select(plans =>
        {
            string? value = null;
            List<RegisterOperation> history = [];
            for (int i = 0; i < plans.Length; i++)
            {
                (RegisterAction action, int argument, int expected, int before, int after, int luck) = plans[i];
                RegisterOperation operation = new("k", action)
                {
                    Client = $"c{i}",
                    Argument = $"{argument}",
                    Expected = expected == 3 ? null : $"{expected}",
                    Called = (10 * i) - before,
                    Returned = (10 * i) + after,
                    Outcome = luck switch { 0 => RegisterOutcome.Unknown, 1 => RegisterOutcome.Refused, _ => RegisterOutcome.Answered },
                };
                bool matches = value == operation.Expected;
                operation = operation with { Result = value, IsDone = action != RegisterAction.CompareAndSet || matches };
                bool happens = luck > 1 || (luck == 0 && after % 2 == 0);
                value = !happens ? value : action switch
                {
                    RegisterAction.Set => operation.Argument,
                    RegisterAction.Delete => null,
                    RegisterAction.CompareAndSet when matches => operation.Argument,
                    _ => value,
                };
                history.Add(operation);
            }

            return history.ToArray();
        });

    [Fact]
    public void Every_history_of_a_real_register_is_explained() => RealHistory.Sample(history => AssertLinearizable(history));

    [Fact]
    public void A_read_that_is_changed_to_what_nobody_wrote_is_always_caught() => Gen.Select(RealHistory, Gen.Int[0, 59]).Sample((history, which) =>
    {
        int[] reads = [.. Enumerable.Range(0, history.Length).Where(i => history[i] is { Action: RegisterAction.Read, Outcome: RegisterOutcome.Answered })];
        if (reads.Length > 0)
        {
            int read = reads[which % reads.Length];
            history[read] = history[read] with { Result = "nobody's" };
            AssertViolation(history);
        }
    });

    private static void AssertLinearizable(params RegisterOperation[] history) => Assert.Null(LinearizabilityChecker.FindViolation(history));

    private static void AssertViolation(params RegisterOperation[] history) => Assert.NotNull(LinearizabilityChecker.FindViolation(history));

    private static RegisterOperation Read(long called, long returned, string? result) =>
        new("k", RegisterAction.Read) { Called = called, Returned = returned, Result = result };

    private static RegisterOperation Set(long called, long returned, string value) =>
        new("k", RegisterAction.Set) { Called = called, Returned = returned, Argument = value };

    private static RegisterOperation Delete(long called, long returned) =>
        new("k", RegisterAction.Delete) { Called = called, Returned = returned };

    private static RegisterOperation Swap(long called, long returned, string? expected, string value, bool isDone) =>
        new("k", RegisterAction.CompareAndSet) { Called = called, Returned = returned, Expected = expected, Argument = value, IsDone = isDone };

    private static RegisterOperation Unknown(RegisterOperation operation) => operation with { Outcome = RegisterOutcome.Unknown };
}
