using System.Text.Json;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Report;

namespace Quorumail.Server.Tests.Torture;

/// <summary>What a torture's user reads must say what happened: each broken promise turns it red, and nothing else does.</summary>
public sealed class TortureReportTests
{
    private static readonly TortureReport Green = new()
    {
        Seed = 7,
        Nodes = 3,
        Sessions = 4,
        Elapsed = TimeSpan.FromSeconds(61),
        Messages = new Dictionary<SendOutcome, int> { [SendOutcome.Acknowledged] = 5000, [SendOutcome.Unknown] = 12 },
        Ledger = LedgerVerdict.Empty with { Acknowledged = 10_000, DuplicateListed = ["m1 r0@x"] },
        CalmRate = 200,
        FaultRate = 150,
        LongestGap = TimeSpan.FromSeconds(5.2),
        Faults =
        [
            new FaultLine("kill -9 of the leader (node2)", "kill -9 of the leader", false, TimeSpan.FromSeconds(2.1), TimeSpan.FromSeconds(1.5)),
            new FaultLine("kill -9 of all at once (node1, node2, node3)", "kill -9 of all at once", true, TimeSpan.FromSeconds(5.2), TimeSpan.FromSeconds(3)),
            new FaultLine("kill -9 of the leader (node1)", "kill -9 of the leader", false, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(4)),
        ],
    };

    [Fact]
    public void A_run_that_kept_every_promise_says_so_with_its_figures()
    {
        var text = TortureText.Render(Green);

        Assert.True(Green.IsGreen);
        Assert.Contains("KEPT: every promise was kept. 3 nodes, 3 faults, 61 s, seed 7", text, StringComparison.Ordinal);
        Assert.Matches("(?m)^  250 +5000  .*10000 recipients", text);
        Assert.Matches("(?m)^  lost +0  ", text);
        Assert.Matches("(?m)^  faults +150/s  .* 75 %", text);
        Assert.Matches(@"(?m)^  longest gap +5\.2 s", text);
        Assert.Matches(@"(?m)^    majority +2\.1 s", text);
        Assert.Matches(@"(?m)^  kill -9 of the leader +2 +2\.1 s +4\.0 s$", text);
    }

    [Fact]
    public void Each_broken_promise_turns_the_report_red()
    {
        string[] name = ["m1 r0@x"];
        Assert.All(
            [
                Green with { Ledger = Green.Ledger with { Lost = name } },
                Green with { Ledger = Green.Ledger with { Corrupt = name } },
                Green with { Ledger = Green.Ledger with { Phantom = name } },
                Green with { Ledger = Green.Ledger with { DuplicateUnlisted = name } },
                Green with { Ledger = Green.Ledger with { CommittedAfter451Unlisted = name } },
                Green with { Failures = ["node2 ended by itself"] },
            ],
            report =>
            {
                Assert.False(report.IsGreen);
                Assert.Contains("BROKEN: ", TortureText.Render(report), StringComparison.Ordinal);
                Assert.Equal("broken", JsonElement.Parse(TortureJson.Render(report)).GetProperty("result").GetString());
            });
    }

    [Fact]
    public void A_run_that_proves_nothing_is_neither_kept_nor_broken()
    {
        var report = Green with { Doubts = ["no message was answered 250"] };

        Assert.False(report.IsGreen);
        Assert.Contains("NOT SHOWN: ", TortureText.Render(report), StringComparison.Ordinal);
        Assert.Contains("  no message was answered 250\n", TortureText.Render(report), StringComparison.Ordinal);
        Assert.Equal("not-shown", JsonElement.Parse(TortureJson.Render(report)).GetProperty("result").GetString());
    }

    [Fact]
    public void The_messages_of_a_broken_promise_are_named_with_the_answer_that_they_got()
    {
        SentMessage[] sent = [new("m1", ["r0@x"], SendOutcome.Acknowledged, "250 2.0.0 queued as Q1"), new("m2", ["r0@x"], SendOutcome.Refused, "554 no")];
        DeliveredCopy[] copies = [new("m2", "Q2", "r0@x", IsIntact: true)];

        Assert.Equal(
            ["lost: m1 r0@x; answered \"250 2.0.0 queued as Q1\"", "phantom: m2 r0@x; answered \"554 no\"; came as Q2"],
            Evidence.Of(MailLedger.Settle(sent, copies, []), sent, copies, atMost: 5));
    }

    [Fact]
    public void The_JSON_has_what_the_text_has()
    {
        var report = JsonElement.Parse(TortureJson.Render(Green));

        Assert.Equal("kept", report.GetProperty("result").GetString());
        Assert.Equal(5000, report.GetProperty("messages").GetProperty("acknowledged").GetInt32());
        Assert.Equal(0, report.GetProperty("recipients").GetProperty("lost").GetArrayLength());
        Assert.Equal(150, report.GetProperty("rate_under_faults").GetDouble());
        Assert.Equal(5.2, report.GetProperty("longest_gap").GetDouble());
        Assert.Equal(3, report.GetProperty("faults").GetArrayLength());
    }

    [Fact]
    public void The_longest_gap_counts_the_time_before_the_first_and_after_the_last_answer()
    {
        Assert.Equal(TimeSpan.FromMilliseconds(300), Gap([400, 500], 100, 600));
        Assert.Equal(TimeSpan.FromMilliseconds(200), Gap([100, 300, 400], 100, 500));
        Assert.Equal(TimeSpan.FromMilliseconds(400), Gap([200, 50, 700], 100, 600));
        Assert.Equal(TimeSpan.FromMilliseconds(500), Gap([], 100, 600));
    }

    private static TimeSpan Gap(long[] milliseconds, long from, long to) => LongestGap.Of(
        milliseconds.Select(Timestamp), Timestamp(from), Timestamp(to));

    private static long Timestamp(long milliseconds) => milliseconds * TimeProvider.System.TimestampFrequency / 1000;
}
