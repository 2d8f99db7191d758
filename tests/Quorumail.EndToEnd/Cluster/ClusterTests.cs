using System.Diagnostics;
using System.Globalization;
using Quorumail.EndToEnd.Crash;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.Cluster;

/// <summary>Real servers that make a cluster: what was acknowledged is there, whoever dies, and never do two lead in one term.</summary>
public sealed class ClusterTests(ITestOutputHelper output)
{
    private static readonly TimeSpan FormationLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan FailoverLimit = TimeSpan.FromSeconds(10);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Three_servers_started_in_any_order_form_one_cluster_and_share_state()
    {
        await using var cluster = new ClusterServers(3);
        await cluster.StartAsync(2);
        await cluster.StartAsync(0);
        await cluster.StartAsync(1);
        await cluster.UntilReadyAsync([0, 1, 2], FormationLimit, Token);

        await cluster.UntilWholeAsync(FormationLimit, Token);
        for (var i = 0; i < 3; i++)
        {
            Assert.True(await cluster.TryPutAsync(i, $"rate_limit_{i}", $"{40 + i}", Token), cluster.Outputs);
        }

        for (var i = 0; i < 3; i++)
        {
            for (var key = 0; key < 3; key++)
            {
                Assert.Equal($"{40 + key}", await cluster.GetAsync(i, $"rate_limit_{key}", "linearizable", Token));
            }
        }
    }

    [Fact]
    public async Task A_killed_leader_is_replaced_and_no_acknowledged_write_is_lost()
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed} QUORUMAIL_ROUNDS={CrashPlan.Rounds}");
        await using var cluster = new ClusterServers(3);
        await cluster.StartAllAsync(FormationLimit, Token);
        var acknowledged = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var round = 0; round < CrashPlan.Rounds; round++)
        {
            var killed = await cluster.LeaderAsync([0, 1, 2], Token);
            var survivors = Enumerable.Range(0, 3).Where(i => i != killed).ToArray();
            await WriteAsync(cluster, [0, 1, 2], acknowledged, 50, $"before-{round}");
            var watch = Stopwatch.StartNew();
            await cluster.KillAsync(killed);
            await Deadline.UntilAsync(
                async token => await cluster.TryPutAsync(survivors[round % 2], $"first-{round}", "x", token),
                FailoverLimit,
                () => $"nobody took over.\n{cluster.Outputs}",
                Token);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"round {round}: first write {watch.ElapsedMilliseconds} ms after the leader was killed"));
            await WriteAsync(cluster, survivors, acknowledged, 50, $"after-{round}");
            await cluster.StartAsync(killed);
            await cluster.UntilReadyAsync([killed], FormationLimit, Token);
            await AssertAllThereAsync(cluster, killed, acknowledged);
        }

        AssertOneLeaderATerm(cluster);
    }

    [Fact]
    public async Task Shared_state_survives_the_death_of_all_nodes_at_once()
    {
        await using var cluster = new ClusterServers(3);
        await cluster.StartAllAsync(FormationLimit, Token);
        var acknowledged = new Dictionary<string, string>(StringComparer.Ordinal);
        await WriteAsync(cluster, [0, 1, 2], acknowledged, 200, "all");
        await Task.WhenAll(Enumerable.Range(0, 3).Select(cluster.KillAsync));

        await cluster.StartAllAsync(FormationLimit, Token);

        await AssertAllThereAsync(cluster, 1, acknowledged);
        AssertOneLeaderATerm(cluster);
    }

    [Fact]
    public async Task A_leader_that_was_paused_acknowledges_nothing_in_its_old_term()
    {
        await using var cluster = new ClusterServers(3);
        await cluster.StartAllAsync(FormationLimit, Token);
        var paused = await cluster.LeaderAsync([0], Token);
        var others = Enumerable.Range(0, 3).Where(i => i != paused).ToArray();
        cluster.Send(paused, Signal.Stop);
        await Deadline.UntilAsync(
            async token => await cluster.TryPutAsync(others[0], "while-paused", "new", token),
            FailoverLimit,
            () => $"nobody took over from the paused leader.\n{cluster.Outputs}",
            Token);

        cluster.Send(paused, Signal.Continue);

        // It may refuse to answer until it knows its leader; what it must never do is to answer from before the pause.
        Assert.Equal("new", await cluster.GetAsync(paused, "while-paused", "linearizable", Token));
        AssertOneLeaderATerm(cluster);
    }

    [Fact]
    public async Task A_single_node_of_three_acknowledges_nothing_and_says_so()
    {
        await using var cluster = new ClusterServers(3);
        await cluster.StartAllAsync(FormationLimit, Token);
        Assert.True(await cluster.TryPutAsync(0, "kept", "1", Token), cluster.Outputs);
        await cluster.KillAsync(1);
        await cluster.KillAsync(2);
        await Deadline.UntilAsync(
            async token => await cluster.LeaderAsync([0], token) < 0, FailoverLimit, () => $"it still names a leader.\n{cluster.Outputs}", Token);

        Assert.False(await cluster.TryPutAsync(0, "alone", "1", Token));
        Assert.Equal("1", await cluster.GetAsync(0, "kept", "local", Token));

        await cluster.StartAsync(1);
        await cluster.UntilReadyAsync([0, 1], FormationLimit, Token);
        Assert.True(await cluster.TryPutAsync(0, "together", "1", Token), cluster.Outputs);
    }

    [Fact]
    public async Task A_node_that_is_told_to_stop_ends_with_0()
    {
        await using var cluster = new ClusterServers(3);
        await cluster.StartAllAsync(FormationLimit, Token);
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(0, await cluster.TerminateAsync(i, TimeSpan.FromSeconds(20), Token));
        }
    }

    private static async Task WriteAsync(ClusterServers cluster, int[] nodes, Dictionary<string, string> acknowledged, int count, string name)
    {
        for (var i = 0; i < count; i++)
        {
            var key = string.Create(CultureInfo.InvariantCulture, $"{name}-{i}");
            if (await cluster.TryPutAsync(nodes[i % nodes.Length], key, key, Token))
            {
                acknowledged.Add(key, key);
            }
        }

        Assert.NotEmpty(acknowledged);
    }

    private static async Task AssertAllThereAsync(ClusterServers cluster, int node, Dictionary<string, string> acknowledged)
    {
        // One fresh read first: everything that was acknowledged before it is applied here then.
        await cluster.GetAsync(node, "any", "linearizable", Token);
        foreach (var (key, value) in acknowledged)
        {
            Assert.Equal(value, await cluster.GetAsync(node, key, "local", Token));
        }
    }

    private void AssertOneLeaderATerm(ClusterServers cluster)
    {
        var leaders = cluster.Leaders();
        output.WriteLine(string.Join(", ", leaders.Order().Select(led => $"{led.Term}: {led.Node}")));
        Assert.NotEmpty(leaders);
        Assert.Equal(leaders.Count, leaders.Select(led => led.Term).Distinct().Count());
    }
}
