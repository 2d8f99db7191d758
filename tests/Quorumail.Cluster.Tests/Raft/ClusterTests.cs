using Quorumail.Cluster.Log;
using Quorumail.Cluster.Tests.Network;

namespace Quorumail.Cluster.Tests.Raft;

[Collection("clusters")] // One after the other: time-outs are short.
public sealed class ClusterTests
{
    [Fact]
    public async Task Three_nodes_elect_one_leader_and_hold_the_same()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();

        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(i)).Outcome);
        }

        await cluster.ConvergedAsync();
        Assert.All(cluster.Nodes.Values, n => Assert.Equal(Enumerable.Range(0, 100), n.Numbers));
        Assert.All(cluster.Nodes.Values, n => Assert.Equal(leader.Name, n.Node.LeaderId));
    }

    [Fact]
    public async Task A_follower_proposes_as_well_and_is_answered_by_its_own_state()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        TestNode follower = cluster.Nodes.Values.First(n => n != leader);

        ProposalResult result = await follower.ProposeAsync(7);

        Assert.Equal(ProposalOutcome.Applied, result.Outcome);
        Assert.Equal(7, BitConverter.ToInt32(result.Value.Span));
        Assert.True(follower.Node.AppliedIndex >= result.Index);
        Assert.Equal([7], follower.Numbers);
        await Task.WhenAll(cluster.Nodes.Values.SelectMany(n => Enumerable.Range(0, 500).Select(i => n.ProposeAsync(1000 + i))));
        await cluster.ConvergedAsync();
        Assert.Equal(1501, leader.State.Count);
    }

    [Fact]
    public async Task A_leader_that_stops_is_replaced_and_nothing_acknowledged_is_lost()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode first = await cluster.LeaderAsync();
        Assert.Equal(ProposalOutcome.Applied, (await first.ProposeAsync(1)).Outcome);
        await cluster.StopAsync(first.Name);

        TestNode second = await cluster.LeaderAsync(n => n != first);
        Assert.Equal(ProposalOutcome.Applied, (await second.ProposeAsync(2)).Outcome);
        await cluster.RestartAsync(first.Name);

        await cluster.ConvergedAsync();
        Assert.All(cluster.Nodes.Values, n => Assert.Equal([1, 2], n.Numbers));
        Assert.True(second.Node.Term > 1);
    }
}
