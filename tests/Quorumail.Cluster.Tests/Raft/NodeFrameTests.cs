using Quorumail.Cluster.Log;
using Quorumail.Cluster.Tests.Network;
using Quorumail.Core.Cluster;
using Quorumail.Tests.Formats;

namespace Quorumail.Cluster.Tests.Raft;

/// <summary>
/// What nodes ask one another, and how they answer, overheard while they form a cluster, work, and change it: the layouts that
/// nodes of other versions know.
/// </summary>
public sealed class NodeFrameTests
{
    private static readonly string[] Three = ["node1", "node2", "node3"];

    private readonly Lock _lock = new();
    private readonly Dictionary<FrameType, List<byte[]>> _heard = [];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Nodes_ask_and_answer_as_ever()
    {
        await using TestCluster cluster = new();
        cluster.Network.Loses = (_, _, type, body) =>
        {
            lock (_lock)
            {
                (_heard.TryGetValue(type, out List<byte[]>? heard) ? heard : _heard[type] = []).Add(body.ToArray());
            }

            return false;
        };
        await Task.WhenAll(Three.Select(name => cluster.Add(name, Three).StartAsync()));
        await cluster.AllVoteAsync(3);

        TestNode leader = await cluster.LeaderAsync();
        TestNode follower = cluster.Nodes.Values.First(node => node != leader);
        for (int i = 0; i < 3; i++)
        {
            // With the first one of a life goes what it has finished with.
            Assert.Equal(ProposalOutcome.Applied, (await follower.ProposeAsync(7)).Outcome);
        }

        await follower.Node.ReadBarrierAsync(Token);
        await follower.Node.TransferAsync(follower.Name, Token);

        // From disks that know one another: whoever leads asks whether cluster time has gone on.
        await Task.WhenAll(Three.Select(cluster.StopAsync));
        await Task.WhenAll(Three.Select(cluster.RestartAsync));
        await cluster.AllVoteAsync(3);

        // The log forgets what a new disk lacks.
        leader = await cluster.LeaderAsync();
        TestNode other = cluster.Nodes.Values.Last(node => node != leader);
        await cluster.StopAsync(other.Name);
        Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(7)).Outcome);
        await Task.WhenAll(cluster.Nodes.Values.Where(node => node != other).Select(node => node.Node.CheckpointAsync()));
        cluster.Wipe(other.Name);
        await cluster.Add(other.Name, Three).StartAsync();
        await cluster.AllVoteAsync(3);
        await cluster.ConvergedAsync();
        leader = await cluster.LeaderAsync();
        TestNode[] followers = [.. cluster.Nodes.Values.Where(node => node != leader)];
        await followers[0].Node.RemoveAsync(followers[1].Name, Token);

        GoldenFile file = GoldenFile.Open("node-frames.golden");
        lock (_lock)
        {
            foreach (string name in file.Names)
            {
                file.Wrote(name, _heard.GetValueOrDefault(Enum.Parse<FrameType>(name.Split('.')[0]), []));
            }
        }

        file.Close();
    }
}
