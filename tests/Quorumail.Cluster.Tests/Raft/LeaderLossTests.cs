using Quorumail.Cluster.Log;
using Quorumail.Cluster.Tests.Network;

namespace Quorumail.Cluster.Tests.Raft;

/// <summary>A leader dies right after a change of members is committed, before it could tell anybody.</summary>
[Collection("clusters")] // One after the other: time-outs are short.
public sealed class LeaderLossTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Two_of_three_go_on_when_the_leader_dies_right_after_the_third_was_added(bool restarts)
    {
        await using TestCluster cluster = await TestCluster.StartAsync(2);
        TestNode leader = await cluster.LeaderAsync();
        TestNode follower = cluster.Nodes.Values.Single(n => n != leader);
        Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(1)).Outcome);

        // These two were not admitted through the log: before the leader has put their numbers there it would give them again.
        await Eventually.TrueAsync(() => leader.Node.FeatureLevel == 1, cluster.Describe);
        cluster.Network.Loses = new HiddenCommit(leader.Name).Loses;
        TestNode third = cluster.Add("node3", ["node1", "node2"]);
        await third.StartAsync();
        await Eventually.TrueAsync(() => leader.Node.Members.Count(m => m.IsVoter) == 3, cluster.Describe);
        await cluster.StopAsync(leader.Name);
        cluster.Nodes.Remove(leader.Name);
        if (restarts)
        {
            await cluster.StopAsync(follower.Name);
            await cluster.StopAsync(third.Name);
            follower = await cluster.RestartAsync(follower.Name);
            third = await cluster.RestartAsync(third.Name);
        }

        cluster.Network.Loses = null;
        TestNode next = await cluster.LeaderAsync();
        Assert.Equal(ProposalOutcome.Applied, (await next.ProposeAsync(2)).Outcome);
        await cluster.ConvergedAsync();
        Assert.All([follower, third], n => Assert.Equal([1, 2], n.Numbers));
        Assert.All([follower, third], n => Assert.Equal(3, n.Node.Members.Count(m => m.IsVoter)));
    }

    [Fact]
    public async Task Two_of_three_go_on_when_the_leader_dies_right_after_the_fourth_was_removed()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(4);
        TestNode leader = await cluster.LeaderAsync();
        TestNode removed = cluster.Nodes.Values.Last(n => n != leader);
        Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(1)).Outcome);

        cluster.Network.Loses = new HiddenCommit(leader.Name).Loses;
        await leader.Node.RemoveAsync(removed.Name, Token);
        foreach (TestNode gone in new[] { leader, removed })
        {
            await cluster.StopAsync(gone.Name);
            cluster.Nodes.Remove(gone.Name);
        }

        cluster.Network.Loses = null;
        TestNode next = await cluster.LeaderAsync();
        Assert.Equal(ProposalOutcome.Applied, (await next.ProposeAsync(2)).Outcome);
        await cluster.ConvergedAsync();
        Assert.All(cluster.Nodes.Values, n => Assert.Equal(3, n.Node.Members.Count(m => m.IsVoter)));
    }

    [Fact]
    public async Task A_node_that_a_change_leaves_out_still_helps_to_commit_it()
    {
        // The change reaches the node alone that it removes; the others can't be elected without its vote, nor it without theirs.
        await using TestCluster cluster = await TestCluster.StartAsync(4);
        TestNode leader = await cluster.LeaderAsync();
        TestNode removed = cluster.Nodes.Values.Last(n => n != leader);
        Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(1)).Outcome);
        await cluster.ConvergedAsync();

        TaskCompletionSource isWritten = new(TaskCreationOptions.RunContinuationsAsynchronously);
        HiddenCommit change = new(leader.Name);
        cluster.Network.Loses = (from, to, type, body) =>
        {
            bool isChange = change.Holds(from, type, body);
            if (isChange && to == removed.Name)
            {
                isWritten.TrySetResult();
            }

            return isChange && to != removed.Name;
        };
        Task removal = leader.Node.RemoveAsync(removed.Name, Token);
        await isWritten.Task.WaitAsync(Token);
        await Eventually.TrueAsync(() => removed.Node.Size.LastIndex >= change.Index, cluster.Describe);
        await cluster.StopAsync(leader.Name);
        cluster.Nodes.Remove(leader.Name);
        await Task.WhenAny(removal); // What is said of it by a node that stops does not matter.

        cluster.Network.Loses = null;
        await Eventually.TrueAsync(
            () => cluster.Nodes.Values.Any(n => n.Node.Leads && n.Node.IsReady && n.Node.Members.Count(m => m.IsVoter) == 3), cluster.Describe);
        TestNode next = await cluster.LeaderAsync(n => n != removed);
        Assert.Equal(ProposalOutcome.Applied, (await next.ProposeAsync(2)).Outcome);
    }
}
