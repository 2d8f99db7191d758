using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.State;
using Quorumail.Cluster.Tests.Linearizability;
using Quorumail.Core.Cluster;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Cluster.Tests;

/// <summary>The library as a program uses it, over loopback.</summary>
public sealed class ClusterManagerTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void The_configuration_has_the_guides_eight_properties_with_its_defaults()
    {
        ClusterConfig config = new();
        Assert.Equal((Environment.MachineName, "0.0.0.0", 9000), (config.NodeId, config.BindAddress, config.BindPort));
        Assert.Empty(config.Peers);
        Assert.Equal((5000, 15_000, 10_000, false), (config.HeartbeatIntervalMs, config.HeartbeatTimeoutMs, config.LeaderElectionTimeoutMs, config.EnableAutoDiscovery));
        Assert.Equal(10_000, config.ReplicationBufferSize);
    }

    [Fact]
    public void A_configuration_that_can_not_be_used_is_refused_as_a_whole_before_anything_opens()
    {
        ClusterConfigException refused = Assert.Throws<ClusterConfigException>(() => new ClusterManager(new ClusterConfig
        {
            NodeId = "two words",
            BindAddress = "everywhere",
            BindPort = 70_000,
            Peers = ["node2:port", "node3:9000"],
            HeartbeatIntervalMs = 5000,
            HeartbeatTimeoutMs = 4000,
            LeaderElectionTimeoutMs = 0,
            Tokens = ["short"],
            ReplicationBufferSize = 0,
        }));

        Assert.Equal(8, refused.Problems.Count);
        Assert.Contains("node2:port", refused.Message, StringComparison.Ordinal);
        Assert.Contains(
            "token",
            Assert.Single(Assert.Throws<ClusterConfigException>(() => new ClusterManager(new ClusterConfig { NodeId = "n", Peers = ["node2:9000"] })).Problems),
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_whose_state_answers_otherwise_is_named_by_all_others()
    {
        await using ManagedCluster cluster = new(3);
        foreach (string name in cluster.Names)
        {
            MemoryState state = new() { Answer = index => name == "node3" && index == 400 ? [1] : null };
            cluster.Managers[name] = new ClusterManager(cluster.Config(name), new ClusterHost { Application = state });
        }

        await Task.WhenAll(cluster.Managers.Values.Select(manager => manager.StartAsync(Token)));
        await cluster.ReadyAsync();
        ClusterManager leader = await cluster.LeaderAsync();
        while (leader.Node!.AppliedIndex < 600)
        {
            Assert.Equal(ProposalOutcome.Applied, (await leader.Log.ProposeAsync(new byte[] { 9 }, Token)).Outcome);
        }

        await cluster.UntilAsync(() => Named("node1", "node3") && Named("node2", "node3") && Named("node3", "node1") && Named("node3", "node2"));
        Assert.False(Named("node1", "node2"));
        Assert.False(Named("node2", "node1"));

        bool Named(string by, string node) => cluster[by].Nodes.Single(each => each.Id == node) is { Status: NodeStatus.Degraded } seen
            && seen.Reason.Contains("another state", StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_that_is_taken_is_told_by_the_start()
    {
        using TcpListener taken = new(IPAddress.Loopback, 0);
        taken.Start();
        using TemporaryDirectory directory = new();
        await using ClusterManager manager = new(new ClusterConfig
        {
            NodeId = "n",
            BindAddress = "127.0.0.1",
            BindPort = ((IPEndPoint)taken.LocalEndpoint).Port,
            DataDirectory = directory.Path,
        });

        IOException refused = await Assert.ThrowsAnyAsync<IOException>(() => manager.StartAsync(Token));
        Assert.Contains("can't be used", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Starting_twice_is_one_start_and_before_it_there_is_no_store()
    {
        using TemporaryDirectory directory = new();
        await using ClusterManager manager = new(new ClusterConfig { NodeId = "n", BindAddress = "127.0.0.1", BindPort = 0, DataDirectory = directory.Path });
        Assert.Throws<InvalidOperationException>(() => manager.StateStore);
        Assert.Equal((null, 1, 0), (manager.GetClusterStats().LeaderId, manager.Nodes.Count, manager.GetClusterStats().HealthyNodes));
        await Task.WhenAll(manager.StartAsync(Token), manager.StartAsync(Token));
        await manager.StartAsync(Token);
        await manager.WaitUntilReadyAsync(Token);

        Assert.Equal(new ClusterStats(1, 1, 0, "n"), manager.GetClusterStats());
        Assert.True(await manager.StateStore.SetAsync("k", "v", token: Token) > 0);
        await manager.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => manager.StartAsync(Token));
    }

    [Fact]
    public async Task Three_nodes_share_state_and_see_each_other()
    {
        await using ManagedCluster cluster = await ManagedCluster.StartAsync(3);
        ClusterManager leader = await cluster.LeaderAsync();

        foreach (ClusterManager manager in cluster.Managers.Values)
        {
            Assert.Equal(new ClusterStats(3, 3, 0, leader.NodeId), manager.GetClusterStats());
            Assert.Equal(leader.Term, manager.Term);
            Assert.Equal(["node1", "node2", "node3"], manager.Nodes.Select(node => node.Id));
            Assert.All(manager.Nodes, node => Assert.Equal(("127.0.0.1", true), (node.Address, node.Port > 0)));
            Assert.All(manager.Nodes.Where(node => node.Id != manager.NodeId), node => Assert.True(node.Metadata?.MemoryUsageMb > 0 && node.LastHeartbeat > 0));

            // From every node, with whatever freshness; a write is seen by a fresh read anywhere.
            await manager.StateStore.SetAsync($"from/{manager.NodeId}", manager.NodeId, token: Token);
            foreach (ClusterManager other in cluster.Managers.Values)
            {
                Assert.Equal(manager.NodeId, await other.StateStore.GetStringAsync($"from/{manager.NodeId}", ReadConsistency.Linearizable, Token));
            }
        }

        await cluster.UntilAsync(() => cluster.Managers.Values.All(manager => manager.StateStore.Count == 3));
        Assert.True(await cluster["node2"].StateStore.DeleteAsync("from/node1", Token));
        foreach (ClusterManager manager in cluster.Managers.Values)
        {
            Assert.Null(await manager.StateStore.GetAsync("from/node1", ReadConsistency.Leader, Token));
            Assert.True(manager.Replication.Replications >= 4);
            Assert.Contains(manager.Frames, frame => frame is { Type: FrameType.Heartbeat, Sent: > 0, Received: > 0 });
        }
    }

    [Fact]
    public async Task The_follower_of_a_watcher_sees_the_leaders_writes()
    {
        await using ManagedCluster cluster = await ManagedCluster.StartAsync(3);
        ClusterManager leader = await cluster.LeaderAsync();
        ClusterManager follower = cluster.Managers.Values.First(manager => manager != leader);
        await using IAsyncEnumerator<StateChange> watch = follower.StateStore.WatchAsync("w/", 1, Token).GetAsyncEnumerator(Token);

        await leader.StateStore.SetAsync("w/1", "v", TimeSpan.FromMilliseconds(50), Token);

        Assert.True(await watch.MoveNextAsync());
        Assert.Equal((StateChangeKind.Set, "w/1"), (watch.Current.Kind, watch.Current.Key));
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(StateChangeKind.Expired, watch.Current.Kind);
    }

    [Fact]
    public async Task When_the_leader_goes_another_takes_over_with_a_later_term_and_the_first_comes_back_in_step()
    {
        await using ManagedCluster cluster = await ManagedCluster.StartAsync(3);
        ClusterManager old = await cluster.LeaderAsync();
        ConcurrentQueue<RoleChange> changes = new();
        ClusterManager survivor = cluster.Managers.Values.First(manager => manager != old);
        survivor.RoleChanged += (_, change) => changes.Enqueue(change);
        long elections = survivor.LeaderElections;
        await old.StateStore.SetAsync("before", "1", token: Token);
        long term = old.Term;

        await cluster.StopAsync(old.NodeId);
        ClusterManager next = await cluster.LeaderAsync();
        Assert.True(next.Term > term);
        await cluster.UntilAsync(() => survivor.Nodes.Single(node => node.Id == old.NodeId).Status == NodeStatus.Disconnected);
        await cluster.UntilAsync(() => survivor.GetClusterStats() == new ClusterStats(3, 2, 0, next.NodeId));
        Assert.Equal(1, survivor.GetClusterStats().UnhealthyNodes);
        Assert.Equal("1", await next.StateStore.GetStringAsync("before", ReadConsistency.Linearizable, Token));
        await next.StateStore.SetAsync("after", "2", token: Token);
        await cluster.UntilAsync(() => changes.Any(change => change.LeaderId == next.NodeId && change.Term == next.Term));
        Assert.True(survivor.LeaderElections > elections);

        await cluster.StartAsync(old.NodeId);
        await cluster.ReadyAsync();
        Assert.Equal("2", await cluster[old.NodeId].StateStore.GetStringAsync("after", ReadConsistency.Linearizable, Token));
    }

    [Fact]
    public async Task Without_a_majority_nothing_is_written_and_what_is_there_can_be_read()
    {
        await using ManagedCluster cluster = await ManagedCluster.StartAsync(3);
        await cluster["node1"].StateStore.SetAsync("k", "v", token: Token);
        await cluster.StopAsync("node2");
        await cluster.StopAsync("node3");
        ClusterManager lone = cluster["node1"];
        await cluster.UntilAsync(() => lone.LeaderId is null);

        Assert.False(lone.IsReady);
        Assert.Contains("quorum", lone.Obstacle!, StringComparison.Ordinal);
        Assert.Equal(NodeStatus.Unhealthy, lone.LocalNode.Status);
        Assert.Equal("v", await lone.StateStore.GetStringAsync("k", ReadConsistency.Local, Token));
        StateException refused = await Assert.ThrowsAsync<StateException>(async () => await lone.StateStore.GetAsync("k", ReadConsistency.Linearizable, Token));
        Assert.Equal(StateFault.Unavailable, refused.Fault);
        using CancellationTokenSource soon = new(TimeSpan.FromSeconds(1));
        await Assert.ThrowsAnyAsync<Exception>(async () => await lone.StateStore.SetAsync("k", "lost", token: soon.Token));
    }

    [Fact]
    public async Task State_survives_a_stop_of_all_nodes_and_deletes_stay_deleted()
    {
        await using ManagedCluster cluster = await ManagedCluster.StartAsync(3);
        for (int i = 0; i < 50; i++)
        {
            await cluster["node2"].StateStore.SetAsync($"k{i}", $"v{i}", token: Token);
        }

        await cluster["node3"].StateStore.DeleteAsync("k7", Token);
        foreach (string name in cluster.Names.ToArray())
        {
            await cluster.StopAsync(name);
        }

        await Task.WhenAll(cluster.Names.Select(name => cluster.StartAsync(name)).ToArray());
        await cluster.ReadyAsync();
        foreach (ClusterManager manager in cluster.Managers.Values)
        {
            StatePage page = await manager.StateStore.ListAsync("k", limit: 100, consistency: ReadConsistency.Linearizable, token: Token);
            Assert.Equal(49, page.Entries.Count);
            Assert.Null(await manager.StateStore.GetAsync("k7", token: Token));
        }
    }

    [Fact]
    public async Task An_election_that_is_asked_for_ends_with_one_leader_of_a_later_term()
    {
        await using ManagedCluster cluster = await ManagedCluster.StartAsync(3);
        long term = (await cluster.LeaderAsync()).Term;

        await cluster["node1"].StartLeaderElectionAsync(Token);

        ClusterManager leader = await cluster.LeaderAsync();
        Assert.True(leader.Term > term);
        await Assert.ThrowsAsync<KeyNotFoundException>(() => leader.RemoveAsync("node9", Token));
    }

    [Fact]
    public async Task Histories_of_clients_on_all_nodes_are_linearizable_while_leaders_change()
    {
        await using ManagedCluster cluster = await ManagedCluster.StartAsync(3);
        RecordedHistory history = new();
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(Token);
        Task[] clients = [.. Enumerable.Range(0, 6).Select(client => Task.Run(
            async () =>
            {
                Random random = new(client);
                ClusterManager manager = cluster.Managers.Values.ElementAt(client % 3);
                RecordedStore store = new($"c{client}", manager.StateStore, history);
                for (int i = 0; !over.IsCancellationRequested; i++)
                {
                    string key = $"k{random.Next(3)}";
                    string value = $"{client}.{i}";
                    await (random.Next(10) switch
                    {
                        < 4 => store.ReadAsync(key, Token),
                        < 7 => store.SetAsync(key, value, Token),
                        7 => store.DeleteAsync(key, Token),
                        _ => store.CompareAndSetAsync(key, $"{random.Next(6)}.{i - 1}", value, Token),
                    });
                }
            },
            Token))];

        for (int i = 0; i < 3; i++)
        {
            int before = history.Operations.Count;
            await cluster.UntilAsync(() => history.Operations.Count > before + 100);
            await (await cluster.LeaderAsync()).TransferLeadershipAsync(null, Token);
        }

        int last = history.Operations.Count;
        await cluster.UntilAsync(() => history.Operations.Count > last + 100);
        await over.CancelAsync();
        await Task.WhenAll(clients);

        Assert.Null(LinearizabilityChecker.FindViolation(history.Operations));
    }
}
