using Quorumail.Cluster.Raft;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Raft;

public sealed class RoleChangeTests
{
    private static readonly RoleChange Follower = new(NodeRole.Follower, "node2", 7);
    private static readonly RoleChange Leader = new(NodeRole.Leader, "node1", 7);

    [Fact]
    public void A_candidacy_that_is_told_after_the_election_is_decided_changes_nothing()
    {
        Assert.Equal(Follower, Follower.Standing(7));
        Assert.Equal(Follower, Follower.Standing(6));
        Assert.Equal(Leader, Leader.Standing(7));
        Assert.Equal(new RoleChange(NodeRole.Candidate, null, 8), Follower.Standing(8));
        Assert.Equal(new RoleChange(NodeRole.Candidate, null, 7), new RoleChange(NodeRole.Follower, null, 7).Standing(7));
    }

    [Fact]
    public void Who_only_asks_forgets_no_leader()
    {
        Assert.Equal(Follower, Follower.Asking(6));
        Assert.Equal(Follower with { Term = 8 }, Follower.Asking(8));
        Assert.Equal(Leader, Leader.Asking(7));
        Assert.Equal(new RoleChange(NodeRole.Follower, null, 7), new RoleChange(NodeRole.Candidate, null, 7).Asking(7));
    }

    [Fact]
    public void The_end_of_a_leadership_that_is_told_after_the_next_one_began_changes_nothing()
    {
        Assert.Equal(Follower, Follower.Deposed(7));
        Assert.Equal(new RoleChange(NodeRole.Follower, null, 8), Leader.Deposed(8));
    }
}
