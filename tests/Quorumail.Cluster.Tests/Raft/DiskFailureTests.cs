using System.Net;
using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Membership;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.Tests.Network;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Raft;

/// <summary>Disks that take something and not another, and what comes at the wrong moment.</summary>
public sealed class DiskFailureTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_node_that_can_not_write_its_term_or_vote_stops(bool stands)
    {
        // It alone asks for votes, or it alone does not.
        await using TestCluster cluster = await TestCluster.StartAsync(
            3,
            configure: options => options.NodeId == "node3" ? WithFullVotes(options) : options,
            prepare: network => network.Loses = (from, _, type, _) => type == FrameType.Election && (from == "node3") != stands);

        Exception problem = await cluster.Nodes["node3"].Node.Failed.WaitAsync(TimeSpan.FromSeconds(30), Token);

        Assert.Contains("No space left", problem.ToString(), StringComparison.OrdinalIgnoreCase);
        Assert.False(cluster.Nodes["node3"].Node.IsReady);
    }

    [Fact]
    public async Task The_members_of_a_snapshot_are_kept_when_the_term_rises_meanwhile()
    {
        DnsEndPoint other = new("node2", 2);
        MemberSet members = new([new DnsEndPoint("node1", 1), other, new DnsEndPoint("node3", 3)]);
        MembershipFile.Found(_directory["members"], [new DnsEndPoint("node1", 1), other]);
        MemoryState state = new();
        await using RunningLog log = await RunningLog.OpenAsync(
            new ClusterNodeOptions { NodeId = "node1", Directory = _directory.Path, Timers = TestCluster.Timers },
            new NodeIdentity("node1", Guid.NewGuid(), 1, 1), new ClusterNodeStates(state), null, null, TimeProvider.System, NullLogger.Instance, _ => { }, Token);
        await log.Node.StartAsync(Token);
        state.Loading = async () => await ((IPersistentState)log.Trail).UpdateTermAsync(9, resetLastVote: true, Token); // Somebody else stands.

        SnapshotEntry snapshot = new(new JournalMark(100, 5, 1, 100), new ReplicatedStates(new ClusterState(null), new MemoryState()));
        await using FileStream file = StagedSnapshot.Create(StagedSnapshot.PathIn(_directory["vote"]));
        await file.WriteAsync(await snapshot.ToByteArrayAsync(token: Token), Token);
        Result<HeartbeatResult> result = await log.Node.InstallAsync(other, 5, new StagedSnapshot(file, 5, members, 50), 100, Token);

        Assert.NotEqual(HeartbeatResult.Rejected, result.Value);
        Assert.Equal(9, ((IPersistentState)log.Trail).Term);
        Assert.Equal(50, log.Membership.Version);
        Assert.True(log.Membership.Members.SetEquals(members.Members));
    }

    [Fact]
    public async Task A_leaders_answer_that_makes_no_sense_leaves_no_proposal_without_an_end()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        TestNode follower = cluster.Nodes.Values.First(n => n != leader);
        await Eventually.TrueAsync(() => follower.Node.IsReady, cluster.Describe);
        int answered = 0;
        cluster.Network.Answers = (_, type) =>
            type == FrameType.Propose && Interlocked.Increment(ref answered) == 1 ? [(byte)FrameAnswer.Done] : null;

        ProposalResult result = await follower.Node.ProposeAsync(new byte[4], CancellationToken.None).AsTask().WaitAsync(TimeSpan.FromSeconds(20), Token);

        Assert.Equal(ProposalOutcome.Applied, result.Outcome);
        Assert.True(answered > 1);
        Assert.False(follower.Node.Failed.IsCompleted);
    }

    private static ClusterNodeOptions WithFullVotes(ClusterNodeOptions options)
    {
        string votes = Directory.CreateDirectory(Path.Combine(options.Directory, "vote")).FullName;
        File.CreateSymbolicLink(Path.Combine(votes, "state"), "/dev/full"); // Reads as zeros.
        return options;
    }
}
