using System.Diagnostics;
using System.Runtime.CompilerServices;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.Tests.Network;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Raft;

[Collection("clusters")] // One after the other: time-outs are short.
public sealed class FaultTests
{
    private static readonly TimeSpan Upper = TestCluster.Timers.ElectionUpper;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_isolated_leader_steps_down_and_what_it_was_given_is_never_reported_as_applied(bool silently)
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode old = await cluster.LeaderAsync();
        Assert.Equal(ProposalOutcome.Applied, (await old.ProposeAsync(1)).Outcome);

        cluster.Network.Isolate(old.Name, silently);
        Task<ProposalResult> lost = old.ProposeAsync(2, Upper * 4);
        Task<InvalidOperationException> stale = Assert.ThrowsAsync<InvalidOperationException>(async () => await old.Node.ReadBarrierAsync(Token));
        TestNode next = await cluster.LeaderAsync(n => n != old);
        Assert.Equal(ProposalOutcome.Applied, (await next.ProposeAsync(3)).Outcome);
        await Eventually.TrueAsync(() => !old.Node.Leads, cluster.Describe);
        Assert.NotEqual(ProposalOutcome.Applied, (await lost).Outcome);
        await stale;
        Assert.Equal(ProposalOutcome.Refused, (await old.ProposeAsync(4, Upper)).Outcome);
        Assert.False(old.Node.IsReady);

        cluster.Network.Heal();
        await cluster.ConvergedAsync();
        Assert.DoesNotContain(4, next.Numbers);
        Assert.Equal([1, 3], next.Numbers.Where(n => n != 2));
        Assert.True(next.Node.Term > 1);
    }

    [Fact]
    public async Task One_cut_link_to_one_follower_causes_no_election()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        TestNode follower = cluster.Nodes.Values.First(n => n != leader);
        long term = leader.Node.Term;

        cluster.Network.Cut(leader.Name, follower.Name);
        cluster.Network.Cut(follower.Name, leader.Name);
        await Eventually.TrueAsync(() => follower.Node.Events.All.Count(e => e.Kind == ClusterEventKind.LeaderMissed) >= 3, cluster.Describe);

        Assert.Equal(term, leader.Node.Term);
        Assert.Equal(term, follower.Node.Term);
        Assert.True(leader.Node.Leads);
        Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(1)).Outcome);
        cluster.Network.Heal();
        await cluster.ConvergedAsync();
        Assert.Equal(term, leader.Node.Term);
        Assert.Contains("ms ago", follower.Node.Events.All.Last(e => e.Kind == ClusterEventKind.LeaderMissed).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_death_of_a_follower_ends_no_leadership_while_the_other_is_rounds_behind()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        TestNode[] followers = [.. cluster.Nodes.Values.Where(n => n != leader)];
        long term = leader.Node.Term;
        cluster.Network.Delay(leader.Name, followers[0].Name, TimeSpan.FromMilliseconds(30), TimeSpan.FromMilliseconds(30));
        using CancellationTokenSource stop = new();
        Task[] writers = [.. Enumerable.Range(0, 4).Select(writer => Task.Run(() => WriteAsync(writer * 100_000), Token))];
        await Eventually.TrueAsync(() => leader.Numbers.Length > 200, cluster.Describe);

        cluster.Network.Isolate(followers[1].Name, silently: false);
        int before = leader.Numbers.Length;
        await Eventually.TrueAsync(() => leader.Numbers.Length > before + 20, cluster.Describe);
        await stop.CancelAsync();
        await Task.WhenAll(writers);
        Assert.True((leader.Node.Leads, leader.Node.Term) == (true, term), cluster.Describe());

        async Task WriteAsync(int number)
        {
            for (; !stop.IsCancellationRequested; number++)
            {
                await leader.ProposeAsync(number);
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_link_cut_one_way_ends_in_a_leader_that_commits_after_few_terms(bool fromLeader)
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        TestNode follower = cluster.Nodes.Values.First(n => n != leader);
        long term = leader.Node.Term;

        cluster.Network.Cut(fromLeader ? leader.Name : follower.Name, fromLeader ? follower.Name : leader.Name);
        for (int i = 0; i < 20; i++)
        {
            TestNode now = await cluster.LeaderAsync();
            Assert.Equal(ProposalOutcome.Applied, (await now.ProposeAsync(i)).Outcome);
            await Task.Delay(Upper / 4, Token);
        }

        Assert.InRange(cluster.Nodes.Values.Max(n => n.Node.Term), term, term + 2);
    }

    [Fact]
    public async Task A_silent_dead_node_delays_no_election()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(5);
        TestNode leader = await cluster.LeaderAsync();
        TestNode silent = cluster.Nodes.Values.First(n => n != leader);
        cluster.Network.Isolate(silent.Name, silently: true);
        cluster.Network.Isolate(leader.Name, silently: true);
        long start = Stopwatch.GetTimestamp();

        TestNode next = await cluster.LeaderAsync(n => n != leader && n != silent);

        // One time-out of each kind, and the votes; a vote that waited for the silent ones would add 2 × 120 ms a round.
        TimeSpan took = Stopwatch.GetElapsedTime(start);
        Assert.True(took < Upper * 4, $"{took}\n{cluster.Describe()}");
        ClusterEvent started = next.Node.Events.All.Last(e => e.Kind == ClusterEventKind.ElectionStarted);
        ClusterEvent won = next.Node.Events.All.Last(e => e.Kind == ClusterEventKind.ElectionWon);
        Assert.True(won.Time - started.Time < TestCluster.Timers.Vote, cluster.Describe());
    }

    [Fact]
    public async Task The_first_that_misses_a_leader_is_elected_at_once()
    {
        // Far apart, so that the two hardly ever ask together. The one that is patient for longer must not refuse the other until then.
        ClusterTimers timers = new(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(4));
        await using TestCluster cluster = await TestCluster.StartAsync(3, configure: o => o with { Timers = timers });
        TestNode silent = await cluster.LeaderAsync();
        await cluster.ConvergedAsync();
        TestNode[] others = [.. cluster.Nodes.Values.Where(n => n != silent)];
        DateTimeOffset before = DateTimeOffset.UtcNow;

        cluster.Network.Isolate(silent.Name, silently: true);
        await cluster.LeaderAsync(n => n != silent);

        ClusterEvent[] since = [.. others.SelectMany(n => n.Node.Events.All).Where(e => e.Time >= before).OrderBy(e => e.Time)];
        ClusterEvent missed = since.First(e => e.Kind == ClusterEventKind.LeaderMissed);
        ClusterEvent won = since.First(e => e.Kind == ClusterEventKind.ElectionWon);
        Assert.True(won.Time - missed.Time < timers.ElectionLower / 2, cluster.Describe());
    }

    [Fact]
    public async Task A_leader_that_has_heard_of_a_later_term_writes_nothing_in_it()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode old = await cluster.LeaderAsync();
        await Eventually.TrueAsync(() => old.Node.Events.All.Any(e => e.Kind == ClusterEventKind.FeatureLevel), cluster.Describe);
        Assert.Equal(ProposalOutcome.Applied, (await old.ProposeAsync(1)).Outcome);
        RaftTrail trail = LogOf(old.Node)!.Trail;
        cluster.Network.Isolate(old.Name, silently: true);
        long last = trail.LastEntryIndex;

        // As when a later leader's first message has come, and the engine has not stepped down yet.
        await ((IPersistentState)trail).UpdateTermAsync(old.Node.Term + 1, true, Token);
        Assert.True(old.Node.Leads);
        Assert.NotEqual(ProposalOutcome.Applied, (await old.ProposeAsync(2, Upper)).Outcome);

        Assert.Equal(last, trail.LastEntryIndex);
    }

    [Fact]
    public async Task A_new_leader_commits_at_once_though_the_old_one_is_silent()
    {
        // An append is waited for as long as the lower time-out: longer than anything else that a new leader does.
        ClusterTimers timers = new(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(3));
        await using TestCluster cluster = await TestCluster.StartAsync(3, configure: o => o with { Timers = timers });
        TestNode silent = await cluster.LeaderAsync();
        Assert.Equal(ProposalOutcome.Applied, (await silent.ProposeAsync(1)).Outcome);
        await cluster.ConvergedAsync();

        cluster.Network.Isolate(silent.Name, silently: true);
        TestNode next = await Eventually.GetAsync(() => cluster.Nodes.Values.FirstOrDefault(n => n != silent && n.Node.Leads), cluster.Describe);
        long start = Stopwatch.GetTimestamp();
        Assert.Equal(ProposalOutcome.Applied, (await next.ProposeAsync(2)).Outcome);

        TimeSpan took = Stopwatch.GetElapsedTime(start);
        Assert.True(took < timers.Append, $"{took}\n{cluster.Describe()}");
    }

    [Fact]
    public async Task What_was_on_its_way_to_a_leader_that_fell_silent_goes_to_the_next_one_as_soon_as_there_is_one()
    {
        // A follower waits twice the upper time-out for the leader's answer; an election takes less than that.
        ClusterTimers timers = TestCluster.Timers with { ElectionUpper = TimeSpan.FromSeconds(3) };
        await using TestCluster cluster = await TestCluster.StartAsync(3, configure: o => o with { Timers = timers });
        TestNode silent = await cluster.LeaderAsync();
        TestNode[] followers = [.. cluster.Nodes.Values.Where(n => n != silent)];
        Assert.All(await Task.WhenAll(followers.Select(n => n.ProposeAsync(1))), result => Assert.Equal(ProposalOutcome.Applied, result.Outcome));

        cluster.Network.Isolate(silent.Name, silently: true);
        long start = Stopwatch.GetTimestamp();
        ProposalResult[] results = await Task.WhenAll(followers.Select(n => n.ProposeAsync(2)));

        TimeSpan took = Stopwatch.GetElapsedTime(start);
        Assert.All(results, result => Assert.Equal(ProposalOutcome.Applied, result.Outcome));
        Assert.True(took < timers.ElectionUpper * 2, $"{took}\n{cluster.Describe()}");
        cluster.Network.Heal();
        await cluster.ConvergedAsync();
        Assert.Equal([1, 1, 2, 2], silent.Numbers);
    }

    [Fact]
    public async Task A_follower_that_lags_far_behind_gets_a_snapshot_while_the_others_go_on()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3, configure: o => o with { SnapshotEntries = 50, SegmentBytes = 4 << 20 });
        TestNode leader = await cluster.LeaderAsync();
        TestNode lagging = cluster.Nodes.Values.First(n => n != leader);
        cluster.Network.Isolate(lagging.Name, silently: false);
        for (int i = 0; i < 400; i++)
        {
            Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(i)).Outcome);
        }

        long term = leader.Node.Term;
        cluster.Network.Heal();
        Task<ProposalResult[]> load = Task.WhenAll(Enumerable.Range(400, 200).Select(i => leader.ProposeAsync(i)));
        await cluster.ConvergedAsync();

        Assert.All(await load, r => Assert.Equal(ProposalOutcome.Applied, r.Outcome));
        await cluster.ConvergedAsync();
        Assert.Equal(600, lagging.State.Count);
        Assert.True(leader.State.Saves > 0);
        Assert.Equal(term, leader.Node.Term);

        // What came by snapshot is there after a restart, too.
        await cluster.StopAsync(lagging.Name);
        TestNode again = await cluster.RestartAsync(lagging.Name);
        await cluster.ConvergedAsync();
        Assert.Equal(600, again.Numbers.Distinct().Count());
        Assert.Equal(600, again.Numbers.Length);
    }

    [Fact]
    public async Task A_member_too_slow_for_a_snapshot_does_not_keep_the_log_from_forgetting()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(
            3, configure: o => o with { SnapshotEntries = 50, SegmentBytes = 4 << 20, RetainedBytesMax = 200_000 });
        TestNode leader = await cluster.LeaderAsync();
        TestNode slow = cluster.Nodes.Values.First(n => n != leader);
        cluster.Network.Isolate(slow.Name, silently: false);
        for (int i = 0; i < 400; i++)
        {
            Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(i)).Outcome);
        }

        // A part takes so long that none ends within the test.
        int begun = 0;
        cluster.Network.Loses = (_, to, type, body) =>
        {
            bool isSnapshot = to == slow.Name && type == FrameType.Snapshot;
            begun += isSnapshot && body.Span[0] == (byte)SnapshotFrame.Begin ? 1 : 0;
            return isSnapshot && body.Span[0] == (byte)SnapshotFrame.Part;
        };
        cluster.Network.Heal();
        await Eventually.TrueAsync(() => Volatile.Read(ref begun) > 0, cluster.Describe);
        long kept = leader.Node.Size.LastIndex;
        Stopwatch watch = Stopwatch.StartNew();
        while (leader.Node.Size.FirstIndex <= kept)
        {
            // Less than the patience with a part, so that the growth of the log is the reason.
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(15), $"{leader.Node.Size}\n{cluster.Describe()}");
            Assert.Equal(ProposalOutcome.Applied, (await leader.Node.ProposeAsync(new byte[1000], Token)).Outcome);
        }

        Assert.Equal(1, begun);
        Assert.True(leader.Node.Leads, cluster.Describe());
    }

    [Fact]
    public async Task Nothing_counts_as_committed_before_a_majority_of_five_has_all_of_it()
    {
        // Each message to a follower holds one of these entries, so those that lag answer with different places.
        byte[] large = new byte[700_000];
        await using TestCluster cluster = await TestCluster.StartAsync(5);
        TestNode leader = await cluster.LeaderAsync();
        TestNode[] others = [.. cluster.Nodes.Values.Where(n => n != leader)];
        TestNode[] lagging = others[1..];
        foreach (TestNode node in lagging)
        {
            cluster.Network.Cut(leader.Name, node.Name);
        }

        // Two of five have them: not committed.
        Task<ProposalResult>[] pending = [.. Enumerable.Range(0, 6).Select(i =>
        {
            byte[] command = [.. large];
            BitConverter.TryWriteBytes(command, i);
            return leader.Node.ProposeAsync(command, Token).AsTask();
        })];
        await Eventually.TrueAsync(
            () => leader.Node.Members.Count(m => m.MatchedIndex == leader.Node.Members.Max(x => x.MatchedIndex)) >= 2, cluster.Describe);
        cluster.Network.Heal();
        foreach (TestNode node in lagging)
        {
            cluster.Network.Delay(leader.Name, node.Name, TimeSpan.FromMilliseconds(30), TimeSpan.FromMilliseconds(60));
        }

        string? violations = null;
        long term = leader.Node.Term;
        while (!Task.WhenAll(pending).IsCompleted)
        {
            long commit = leader.Node.CommitIndex;
            long[] matched = [.. leader.Node.Members.Select(m => m.MatchedIndex ?? 0).Order()];
            if (leader.Node.Leads && leader.Node.Term == term && commit > matched[2])
            {
                violations ??= $"{commit} counts as committed; the members have {string.Join(' ', matched)}\n{cluster.Describe()}";
            }

            await Task.Delay(1, Token);
        }

        Assert.Null(violations);
        await cluster.ConvergedAsync();
    }

    [Fact]
    public async Task A_read_barrier_makes_every_acknowledged_write_visible_on_every_node()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        await cluster.LeaderAsync();
        TestNode[] nodes = [.. cluster.Nodes.Values];
        for (int i = 0; i < 60; i++)
        {
            TestNode writer = nodes[i % 3];
            Assert.Equal(ProposalOutcome.Applied, (await writer.ProposeAsync(i)).Outcome);
            TestNode reader = nodes[(i + 1 + (i % 2)) % 3];
            await reader.Node.ReadBarrierAsync(Token);
            Assert.Contains(i, reader.Numbers);
        }
    }

    [Fact]
    public async Task An_answer_to_what_was_sent_before_the_question_does_not_prove_that_a_leader_leads_still()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(1)).Outcome);
        await cluster.ConvergedAsync();
        TimeSpan onTheWay = TimeSpan.FromMilliseconds(200);
        foreach (string follower in cluster.Nodes.Keys.Where(name => name != leader.Name))
        {
            cluster.Network.Delay(follower, leader.Name, onTheWay, onTheWay);
        }

        for (int i = 2; i < 6; i++)
        {
            Task<ProposalResult> proposal = leader.ProposeAsync(i);
            await Task.Delay(onTheWay / 10, Token);
            long asked = Stopwatch.GetTimestamp();
            await leader.Node.ReadBarrierAsync(Token);
            Assert.InRange(Stopwatch.GetElapsedTime(asked), onTheWay, TimeSpan.MaxValue);
            Assert.Equal(ProposalOutcome.Applied, (await proposal).Outcome);
        }
    }

    [Fact]
    public async Task Leadership_is_handed_over_under_load_without_a_failed_proposal()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        TestNode heir = cluster.Nodes.Values.Last(n => n != leader);
        using CancellationTokenSource enough = CancellationTokenSource.CreateLinkedTokenSource(Token);
        int next = 0;
        List<ProposalResult> results = [];
        Task load = Task.WhenAll(cluster.Nodes.Values.Select(n => Task.Run(
            async () =>
            {
                while (!enough.IsCancellationRequested)
                {
                    ProposalResult result = await n.ProposeAsync(Interlocked.Increment(ref next));
                    lock (results)
                    {
                        results.Add(result);
                    }
                }
            },
            Token)));

        long start = Stopwatch.GetTimestamp();
        await heir.Node.TransferAsync(heir.Name, Token);
        TimeSpan took = Stopwatch.GetElapsedTime(start);
        await Eventually.TrueAsync(() => heir.Node.Leads && heir.Node.IsReady, cluster.Describe);
        await heir.Node.StartElectionAsync(Token);
        await cluster.LeaderAsync();
        await enough.CancelAsync();
        await load;

        Assert.True(took < TimeSpan.FromSeconds(4), $"{took}");
        Assert.All(results, r => Assert.Equal(ProposalOutcome.Applied, r.Outcome));
        await cluster.ConvergedAsync();
        Assert.Equal(results.Count, heir.Numbers.Distinct().Count());
        Assert.Equal(results.Count, heir.Numbers.Length);
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_log")]
    private static extern ref RunningLog? LogOf(ClusterNode node);
}
