using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.Tests.Network;

namespace Quorumail.Cluster.Tests.Raft;

public sealed class LoneNodeTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_proposal_is_applied_once_and_answered()
    {
        MemoryState state = new();
        await using ClusterNode log = await StartAsync(state);

        ProposalResult result = await log.ProposeAsync(Command(7), Token);

        Assert.Equal(ProposalOutcome.Applied, result.Outcome);
        Assert.Equal(Command(7), result.Value.ToArray());
        Assert.Equal(Command(7), Assert.Single(state.Applied).Command);
        Assert.Equal(result.Index, log.AppliedIndex);
        Assert.True(log.IsReady);
    }

    [Fact]
    public async Task Commands_of_one_proposer_are_applied_in_order()
    {
        MemoryState state = new();
        await using ClusterNode log = await StartAsync(state);

        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(ProposalOutcome.Applied, (await log.ProposeAsync(Command(i), Token)).Outcome);
        }

        Assert.Equal(Enumerable.Range(0, 200).Select(Command), state.Applied.Select(a => a.Command));
    }

    [Fact]
    public async Task A_restart_applies_what_was_acknowledged_exactly_once()
    {
        MemoryState state = new();
        await using (ClusterNode log = await StartAsync(state))
        {
            await Task.WhenAll(Enumerable.Range(0, 500).Select(i => log.ProposeAsync(Command(i), Token).AsTask()));
        }

        MemoryState again = state.Reopen();
        Assert.Equal(0, again.Count);
        long term;
        await using (ClusterNode log = await StartAsync(again))
        {
            term = log.Term;
            Assert.Equal(500, again.Count);
        }

        await using (ClusterNode log = await StartAsync(again))
        {
            Assert.Equal(500, again.Count);
            Assert.True(log.Term > term);
        }
    }

    [Fact]
    public async Task Commands_that_wait_together_share_entries()
    {
        MemoryState state = new();
        await using ClusterNode log = await StartAsync(state);
        long before = log.CommitIndex;

        await Task.WhenAll(Enumerable.Range(0, 5000).Select(i => log.ProposeAsync(Command(i), Token).AsTask()));

        Assert.Equal(5000, state.Count);
        Assert.InRange(log.CommitIndex - before, 1, 500);
    }

    [Fact]
    public async Task With_an_interval_commands_are_waited_for_and_with_a_size_no_entry_has_more()
    {
        MemoryState state = new();
        await using ClusterNode log = await StartAsync(state, o => o with { EntryInterval = TimeSpan.FromMilliseconds(500), MaxEntryCommands = 10 });
        long before = log.CommitIndex;

        // The first of them would have an entry of its own otherwise.
        await Task.WhenAll(Enumerable.Range(0, 10).Select(i => log.ProposeAsync(Command(i), Token).AsTask()));
        Assert.Equal(1, log.CommitIndex - before);

        await Task.WhenAll(Enumerable.Range(10, 25).Select(i => log.ProposeAsync(Command(i), Token).AsTask()));
        Assert.Equal(4, log.CommitIndex - before);
        Assert.Equal(Enumerable.Range(0, 35).Select(Command), state.Applied.Select(a => a.Command));
    }

    [Fact]
    public async Task What_is_not_durable_in_the_state_is_applied_again_after_a_restart_and_the_rest_is_not()
    {
        MemoryState state = new();
        await using (ClusterNode log = await StartAsync(state, o => o with { SnapshotEntries = 10 }))
        {
            for (int i = 0; i < 95; i++)
            {
                if (i == 20)
                {
                    await Eventually.TrueAsync(() => state.Flushes > 0, () => "nothing was flushed");
                    state.Durable = false;
                }

                await log.ProposeAsync(Command(i), Token);
            }
        }

        MemoryState again = state.Reopen();
        Assert.InRange(again.Count, 1, 20);
        await using (ClusterNode log = await StartAsync(again, o => o with { SnapshotEntries = 10 }))
        {
            Assert.Equal(Enumerable.Range(0, 95).Select(Command), again.Applied.Select(a => a.Command));
        }
    }

    [Fact]
    public async Task An_exception_out_of_the_state_stops_the_log_and_says_why()
    {
        MemoryState state = new() { Poison = Command(13) };
        await using ClusterNode log = await StartAsync(state);
        await log.ProposeAsync(Command(1), Token);

        ProposalResult poisoned = await log.ProposeAsync(Command(13), Token);
        Assert.Equal(ProposalOutcome.Unknown, poisoned.Outcome);
        Assert.Equal("poisoned command", (await log.Failed.WaitAsync(Token)).Message);

        ProposalResult later = await log.ProposeAsync(Command(2), Token);
        Assert.Equal(ProposalOutcome.Refused, later.Outcome);
        Assert.False(log.IsReady);
    }

    [Fact]
    public async Task A_disk_that_fails_stops_the_log_and_no_proposal_hangs()
    {
        MemoryState state = new();
        await using ClusterNode log = await StartAsync(state, o => o with { SegmentBytes = 64 << 10, MaxEntryBytes = 16 << 10 });
        await log.ProposeAsync(Command(1), Token);
        Directory.Delete(_directory["journal"], recursive: true); // No further segment can be created.

        ProposalResult[] results = await Task.WhenAll(
            Enumerable.Range(0, 200).Select(_ => log.ProposeAsync(new byte[8000], Token).AsTask())).WaitAsync(Token);

        Assert.Contains(results, r => r.Outcome == ProposalOutcome.Unknown);
        Assert.Contains(results, r => r.Outcome == ProposalOutcome.Refused);
        Assert.Equal(state.Count, 1 + results.Count(r => r.Outcome == ProposalOutcome.Applied));
        Assert.IsAssignableFrom<IOException>(await log.Failed.WaitAsync(Token));
        Assert.False(log.IsReady);
        Directory.CreateDirectory(_directory["journal"]);
    }

    [Fact]
    public async Task A_full_disk_stops_the_log_and_the_next_start_goes_on_where_there_is_room()
    {
        using SmallDisk? disk = SmallDisk.TryMount(_directory["disk"], "1m");
        Assert.SkipWhen(disk is null, "A file system of limited size can only be mounted by root.");
        MemoryState state = new();
        ClusterNodeOptions options = new() { NodeId = "node1", Directory = Path.Combine(disk.Path, "log"), SegmentBytes = 256 << 10, MaxEntryBytes = 16 << 10 };
        int applied = 0;
        await using (ClusterNode log = new(options, state, TimeProvider.System, NullLogger.Instance))
        {
            await log.StartAsync(Token);
            while ((await log.ProposeAsync(new byte[10_000], Token)).Outcome == ProposalOutcome.Applied)
            {
                applied++;
            }

            Exception reason = await log.Failed.WaitAsync(Token);
            Assert.Matches("disk was full|No space left on device", reason.ToString());
        }

        disk.Grow("8m");
        MemoryState again = state.Reopen();
        await using (ClusterNode log = new(options, again, TimeProvider.System, NullLogger.Instance))
        {
            await log.StartAsync(Token);
            Assert.InRange(again.Count, applied, applied + 1);
            Assert.Equal(ProposalOutcome.Applied, (await log.ProposeAsync(new byte[10_000], Token)).Outcome);
        }
    }

    [Fact]
    public async Task Cancelling_ends_the_waiting_and_only_what_was_never_given_to_the_log_counts_as_refused()
    {
        MemoryState state = new();
        await using ClusterNode log = await StartAsync(state);
        using CancellationTokenSource cancelled = new();
        await cancelled.CancelAsync();

        ProposalResult result = await log.ProposeAsync(Command(1), cancelled.Token);
        await log.ProposeAsync(Command(2), Token);

        Assert.Equal(result.Outcome == ProposalOutcome.Refused ? 1 : 2, state.Count);
    }

    [Fact]
    public async Task A_command_that_is_too_large_or_one_too_many_is_refused()
    {
        MemoryState state = new();
        await using ClusterNode log = await StartAsync(state, o => o with { MaxWaitingCommands = 3 });

        Assert.Equal(ProposalOutcome.Refused, (await log.ProposeAsync(new byte[(1 << 20) + 1], Token)).Outcome);
        ProposalResult[] results = await Task.WhenAll(Enumerable.Range(0, 1000).Select(i => log.ProposeAsync(Command(i), Token).AsTask()));

        Assert.Contains(results, r => r.Outcome == ProposalOutcome.Refused);
        Assert.Equal(state.Count, results.Count(r => r.Outcome == ProposalOutcome.Applied));
    }

    [Fact]
    public async Task A_proposal_before_the_start_or_after_the_stop_is_refused()
    {
        ClusterNode log = new(new ClusterNodeOptions { NodeId = "node1", Directory = _directory.Path }, new MemoryState(), TimeProvider.System, NullLogger.Instance);
        Assert.Equal(ProposalOutcome.Refused, (await log.ProposeAsync(Command(1), Token)).Outcome);
        await log.StartAsync(Token);
        await log.DisposeAsync();
        Assert.Equal(ProposalOutcome.Refused, (await log.ProposeAsync(Command(1), Token)).Outcome);
    }

    [Fact]
    public async Task An_entry_of_a_later_version_keeps_the_node_from_starting()
    {
        await using (await StartAsync(new MemoryState()))
        {
        }

        using (EntryJournal journal = EntryJournal.Open(_directory["journal"], 16 << 20))
        {
            journal.Begin(0);
            byte[] content = new byte[LogEntryFormat.HeaderSize];
            content[0] = 9;
            await journal.WaitDurableAsync(journal.Append(1, RecordKind.Commands, content));
        }

        MemoryState state = new();
        LogFormatException refusal = await Assert.ThrowsAsync<LogFormatException>(() => StartAsync(state));
        Assert.Contains("format 9", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(0, state.Count);
    }

    [Fact]
    public async Task A_state_that_is_older_than_the_log_keeps_the_node_from_starting()
    {
        MemoryState state = new();
        await using (ClusterNode log = await StartAsync(state, o => o with { SnapshotEntries = 10 }))
        {
            for (int i = 0; i < 50; i++)
            {
                await log.ProposeAsync(Command(i), Token);
            }
        }

        await Assert.ThrowsAsync<JournalException>(() => StartAsync(new MemoryState()));
    }

    [Fact]
    public async Task A_missing_vote_file_keeps_the_node_from_starting()
    {
        MemoryState state = new();
        for (int life = 0; life < 3; life++)
        {
            await using ClusterNode log = await StartAsync(state);
        }

        Directory.Delete(_directory["vote"], recursive: true);

        JournalException report = await Assert.ThrowsAsync<JournalException>(() => StartAsync(state));
        Assert.Contains("the vote file knows term 0, the journal 3", report.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_dump_shows_a_running_log()
    {
        MemoryState state = new();
        await using ClusterNode log = await StartAsync(state);
        ProposalResult result = await log.ProposeAsync(Command(77), Token);

        string dump = string.Concat(JournalDump.Render(_directory.Path, describe: c => $"number {BitConverter.ToInt32(c.Span)}"));

        Assert.Contains("forgotten up to 0", dump, StringComparison.Ordinal);
        Assert.Contains($"{result.Index} term=1", dump, StringComparison.Ordinal);
        Assert.Contains("bytes=4 number 77", dump, StringComparison.Ordinal);
        Assert.DoesNotContain("unreadable", dump, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cluster_time_goes_on_after_a_restart_whatever_the_wall_clock_says()
    {
        ManualTime time = new(new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero));
        MemoryState state = new();
        long before;
        await using (ClusterNode log = await StartAsync(state, time: time))
        {
            time.Pass(TimeSpan.FromSeconds(10));
            await log.ProposeAsync(Command(1), Token);
            before = log.ClusterTime;
            Assert.Equal(before, state.LastStamp);
        }

        time.Wall = time.Wall.AddHours(-5);
        await using (ClusterNode log = await StartAsync(state, time: time))
        {
            Assert.Equal(before, log.ClusterTime);
            time.Pass(TimeSpan.FromSeconds(1));
            await log.ProposeAsync(Command(2), Token);
            Assert.Equal(before + 1000, state.LastStamp);
        }
    }

    private static byte[] Command(int value) => BitConverter.GetBytes(value);

    private async Task<ClusterNode> StartAsync(
        MemoryState state, Func<ClusterNodeOptions, ClusterNodeOptions>? configure = null, TimeProvider? time = null)
    {
        ClusterNodeOptions options = new() { NodeId = "node1", Directory = _directory.Path };
        ClusterNode log = new(configure?.Invoke(options) ?? options, state, time ?? TimeProvider.System, NullLogger.Instance);
        try
        {
            await log.StartAsync(Token);
            return log;
        }
        catch
        {
            await log.DisposeAsync();
            throw;
        }
    }
}
