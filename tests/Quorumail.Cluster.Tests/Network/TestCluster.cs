using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Membership;
using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests.Network;

/// <summary>Nodes with the real engine and real journals over the faulty network, and what they hold.</summary>
internal sealed class TestCluster : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly Guid _id = Guid.NewGuid();

    public TestCluster(int seed = 1) => Network = new FaultyNetwork(seed);

    /// <summary>Quick, but not so quick that a busy machine elects for no reason.</summary>
    public static ClusterTimers Timers { get; } = new(
        TimeSpan.FromMilliseconds(60), TimeSpan.FromMilliseconds(300), TimeSpan.FromMilliseconds(600));

    public FaultyNetwork Network { get; }

    public Dictionary<string, TestNode> Nodes { get; } = new(StringComparer.Ordinal);

    public Func<ClusterNodeOptions, ClusterNodeOptions> Configure { get; set; } = static options => options;

    /// <summary>A cluster whose disks know one another, as after a formation.</summary>
    public static async Task<TestCluster> StartAsync(
        int count, int seed = 1, Func<ClusterNodeOptions, ClusterNodeOptions>? configure = null, Action<FaultyNetwork>? prepare = null)
    {
        TestCluster cluster = new(seed);
        prepare?.Invoke(cluster.Network);
        cluster.Configure = configure ?? cluster.Configure;
        string[] names = [.. Enumerable.Range(1, count).Select(i => $"node{i}")];
        for (int i = 0; i < count; i++)
        {
            string directory = Directory.CreateDirectory(cluster.DirectoryOf(names[i])).FullName;
            MembershipFile.Found(Path.Combine(directory, "members"), names.Select((n, at) => new DnsEndPoint(n, at + 1)));
            new NodeIdentity(names[i], cluster._id, i + 1, 0).Write(Path.Combine(directory, "identity"));
            cluster.Add(names[i], names);
        }

        await Task.WhenAll(cluster.Nodes.Values.Select(n => n.StartAsync()));
        return cluster;
    }

    /// <summary>A cluster that has formed itself from empty disks.</summary>
    public static async Task<TestCluster> FormAsync(int count, int seed = 1, Func<ClusterNodeOptions, ClusterNodeOptions>? configure = null)
    {
        TestCluster cluster = new(seed);
        cluster.Configure = configure ?? cluster.Configure;
        string[] names = [.. Enumerable.Range(1, count).Select(i => $"node{i}")];
        await Task.WhenAll(names.Select(n => cluster.Add(n, names).StartAsync()));
        await cluster.AllVoteAsync(count);
        return cluster;
    }

    /// <summary>Waits until all nodes agree that there are so many members, all with a vote.</summary>
    public async Task AllVoteAsync(int count) => await Eventually.TrueAsync(
        () => Nodes.Values.All(n => n.Node.IsReady && n.Node.Members.Count(m => m.IsVoter) == count && n.Node.Members.All(m => m.IsVoter)),
        () => $"not {count} members:\n" + Describe());

    public string DirectoryOf(string nodeId) => _directory[nodeId];

    /// <summary>Adds a node that is not started yet.</summary>
    public TestNode Add(string nodeId, IReadOnlyList<string> peers, MemoryState? state = null)
    {
        ClusterNodeOptions options = Configure(new ClusterNodeOptions
        {
            NodeId = nodeId,
            Directory = DirectoryOf(nodeId),
            Address = nodeId,
            Peers = peers,
            Timers = Timers,
        });
        MemoryState kept = state ?? new MemoryState();
        ClusterNode node = new(options, new ClusterNodeStates(kept), Network.Join(nodeId), null, TimeProvider.System, NullLogger.Instance);
        TestNode added = new(node, kept);
        Nodes[nodeId] = added;
        return added;
    }

    /// <summary>Stops a node, as a crash would as far as its disk is concerned.</summary>
    public async Task StopAsync(string nodeId) => await Nodes[nodeId].Node.DisposeAsync();

    /// <summary>Starts a node again on what its disk holds.</summary>
    public async Task<TestNode> RestartAsync(string nodeId)
    {
        TestNode before = Nodes[nodeId];
        TestNode after = Add(nodeId, [.. Nodes.Keys], before.State.Reopen());
        await after.StartAsync();
        return after;
    }

    /// <summary>Takes everything from a stopped node's disk.</summary>
    public void Wipe(string nodeId)
    {
        Directory.Delete(DirectoryOf(nodeId), recursive: true);
        Nodes.Remove(nodeId);
    }

    /// <summary>Waits until exactly one of the nodes leads and has committed in its term.</summary>
    public async Task<TestNode> LeaderAsync(Func<TestNode, bool>? among = null)
    {
        return await Eventually.GetAsync(
            () => Nodes.Values.Where(among ?? (static _ => true)).OrderByDescending(n => n.Node.Term).FirstOrDefault(n => n.Node.Leads && n.Node.IsReady),
            () => "no leader:\n" + Describe());
    }

    /// <summary>Waits until all nodes have applied the same.</summary>
    public async Task ConvergedAsync() => await Eventually.TrueAsync(
        () => Nodes.Values.Select(n => n.Node.AppliedIndex).Distinct().Count() == 1
            && Nodes.Values.Select(n => n.State.Count).Distinct().Count() == 1,
        () => "not converged:\n" + Describe());

    public string Describe() => string.Join('\n', Nodes.Select(n =>
        $"{n.Key}: {n.Value.Node.Role} of {n.Value.Node.LeaderId}, term {n.Value.Node.Term}, commit {n.Value.Node.CommitIndex}, applied {n.Value.Node.AppliedIndex}, count {n.Value.State.Count}\n  "
        + string.Join("\n  ", n.Value.Node.Events.All.TakeLast(12).Select(e => $"{e.Time:mm:ss.fff} {e.Kind} t{e.Term} {e.Text}"))));

    public async ValueTask DisposeAsync()
    {
        Network.Heal();
        await Task.WhenAll(Nodes.Values.Select(async n => await n.Node.DisposeAsync()));
        Network.Dispose();
        _directory.Dispose();
    }
}
