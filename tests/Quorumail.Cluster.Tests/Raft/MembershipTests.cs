using Quorumail.Cluster.Log;
using Quorumail.Cluster.Tests.Network;

namespace Quorumail.Cluster.Tests.Raft;

[Collection("clusters")] // One after the other: time-outs are short.
public sealed class MembershipTests
{
    private static readonly string[] Three = ["node1", "node2", "node3"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Empty_nodes_found_one_cluster_by_the_smallest_name_whatever_the_order()
    {
        await using TestCluster cluster = new();
        Task[] starts = [.. new[] { "node3", "node2", "node1" }.Select(n => cluster.Add(n, Three).StartAsync())];
        await Task.WhenAll(starts).WaitAsync(Token);

        await cluster.AllVoteAsync(3);

        Assert.Single(cluster.Nodes.Values.Select(n => n.Node.ClusterId).Distinct());
        Assert.Equal(1, cluster.Nodes["node1"].Node.Incarnation);
        Assert.Equal(3, cluster.Nodes.Values.Select(n => n.Node.Incarnation).Distinct().Count());
        Assert.Equal(ProposalOutcome.Applied, (await cluster.Nodes["node3"].ProposeAsync(1)).Outcome);
        await cluster.ConvergedAsync();
    }

    [Fact]
    public async Task A_node_that_is_missing_at_the_founding_is_waited_for_by_name_and_bootstrap_ends_the_waiting()
    {
        await using TestCluster cluster = new();
        TestNode first = cluster.Add("node1", Three);
        TestNode second = cluster.Add("node2", Three);
        Task[] starts = [first.StartAsync(), second.StartAsync()];

        await Eventually.TrueAsync(
            () => first.Node.WaitingFor.Contains("node3", StringComparison.Ordinal) && second.Node.WaitingFor.Length > 0,
            () => first.Node.WaitingFor + second.Node.WaitingFor);
        Assert.All(starts, s => Assert.False(s.IsCompleted));
        Assert.Equal(0, first.Node.Incarnation);

        await second.Node.DisposeAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => starts[1]);
        cluster.Configure = o => o with { Bootstrap = true };
        await cluster.Add("node2", Three).StartAsync();
        await starts[0].WaitAsync(Token);
        await cluster.AllVoteAsync(2);
        Assert.Equal(1, cluster.Nodes["node2"].Node.Incarnation);
    }

    [Fact]
    public async Task A_wiped_node_returns_as_a_new_incarnation_with_everything()
    {
        await using TestCluster cluster = await TestCluster.FormAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(i)).Outcome);
        }

        TestNode wiped = cluster.Nodes.Values.First(n => n != leader);
        int before = wiped.Node.Incarnation;
        await cluster.StopAsync(wiped.Name);
        cluster.Wipe(wiped.Name);
        TestNode anew = cluster.Add(wiped.Name, Three);
        await anew.StartAsync();

        await cluster.AllVoteAsync(3);
        await cluster.ConvergedAsync();
        Assert.True(anew.Node.Incarnation > before);
        Assert.Equal(Enumerable.Range(0, 50), anew.Numbers);
        Assert.DoesNotContain(leader.Node.Members, m => m.Incarnation == before);
    }

    [Fact]
    public async Task One_node_grows_to_five_and_shrinks_to_three_under_load_without_loss()
    {
        await using TestCluster cluster = await TestCluster.FormAsync(1);
        using CancellationTokenSource enough = CancellationTokenSource.CreateLinkedTokenSource(Token);
        int acknowledged = 0;
        TestNode first = cluster.Nodes["node1"];
        Task load = Task.Run(
            async () =>
            {
                for (int i = 0; !enough.IsCancellationRequested; i++)
                {
                    ProposalResult result = await first.ProposeAsync(i);
                    if (result.Outcome == ProposalOutcome.Applied)
                    {
                        acknowledged++;
                    }
                }
            },
            Token);

        for (int i = 2; i <= 5; i++)
        {
            await cluster.Add($"node{i}", ["node1"]).StartAsync();
            await cluster.AllVoteAsync(i);
        }

        await first.Node.RemoveAsync("node4", Token);
        await cluster.StopAsync("node4");
        cluster.Nodes.Remove("node4");
        TestNode leader = await cluster.LeaderAsync();
        TestNode leaving = leader == first ? cluster.Nodes["node5"] : leader;
        try
        {
            await leaving.Node.LeaveAsync(Token);
        }
        catch (InvalidOperationException refused)
        {
            Assert.Fail(refused.Message + cluster.Describe());
        }

        await cluster.StopAsync(leaving.Name);
        cluster.Nodes.Remove(leaving.Name);
        await cluster.AllVoteAsync(3);
        await enough.CancelAsync();
        await load;

        await cluster.ConvergedAsync();
        Assert.InRange(acknowledged, 10, int.MaxValue);
        Assert.All(cluster.Nodes.Values, n => Assert.True(n.Numbers.Length == n.Numbers.Distinct().Count() && n.Numbers.Length >= acknowledged));
    }

    [Fact]
    public async Task The_disk_of_a_removed_node_can_not_come_back()
    {
        await using TestCluster cluster = await TestCluster.FormAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        TestNode removed = cluster.Nodes.Values.First(n => n != leader);

        await removed.Node.LeaveAsync(Token);
        Assert.Equal(ProposalOutcome.Refused, (await removed.ProposeAsync(1, TimeSpan.FromSeconds(1))).Outcome);
        await cluster.StopAsync(removed.Name);
        TestNode again = await cluster.RestartAsync(removed.Name);

        await Task.Delay(TestCluster.Timers.ElectionUpper * 3, Token);
        Assert.False(again.Node.IsReady);
        Assert.False(again.Node.Leads);
        Assert.Equal(2, leader.Node.Members.Count);
        Assert.True(leader.Node.IsReady);
    }

    [Fact]
    public async Task A_new_disk_with_a_program_below_the_clusters_feature_level_is_told_so()
    {
        await using TestCluster cluster = await TestCluster.FormAsync(2, configure: o => o with { FeatureLevel = 2 });
        await Eventually.TrueAsync(() => cluster.Nodes.Values.All(n => n.Node.FeatureLevel == 2), cluster.Describe);
        cluster.Configure = o => o with { FeatureLevel = 1 };
        TestNode old = cluster.Add("node3", Three);
        Task starting = old.StartAsync();

        await Eventually.TrueAsync(() => old.Node.WaitingFor.Contains("feature level 2", StringComparison.Ordinal), () => old.Node.WaitingFor + cluster.Describe());
        Assert.All(cluster.Nodes.Values.Where(n => n != old), n => Assert.Equal(2, n.Node.Members.Count));

        // The same disk with a program that knows it.
        await cluster.StopAsync("node3");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => starting);
        cluster.Configure = o => o with { FeatureLevel = 2 };
        await cluster.RestartAsync("node3");
        await cluster.AllVoteAsync(3);
    }

    [Fact]
    public async Task The_feature_level_rises_only_when_all_members_know_it()
    {
        await using TestCluster cluster = await TestCluster.FormAsync(3);
        await Eventually.TrueAsync(() => cluster.Nodes.Values.All(n => n.Node.FeatureLevel == 1), cluster.Describe);
        cluster.Configure = o => o with { FeatureLevel = 2 };
        foreach (string name in Three)
        {
            // A node that has just come back may not have read yet that it is 1.
            Assert.All(cluster.Nodes.Values, n => Assert.InRange(n.Node.FeatureLevel, 0, 1));
            await cluster.StopAsync(name);
            await cluster.RestartAsync(name);
            await cluster.AllVoteAsync(3);
        }

        await Eventually.TrueAsync(() => cluster.Nodes.Values.All(n => n.Node.FeatureLevel == 2), cluster.Describe);
    }
}
