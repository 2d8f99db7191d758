using System.Diagnostics;
using System.Globalization;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests.Raft;

/// <summary>
/// State that is large beside the time-outs, at the guide's default keys, over port 9000: 32 MiB, or QUORUMAIL_SNAPSHOT_MB of
/// them (<c>./torture.sh snapshot</c>: 1024).
/// </summary>
[Collection("clusters")] // One after the other: time is measured.
public sealed class LargeSnapshotTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_node_with_an_empty_disk_is_sent_all_of_it_while_the_cluster_goes_on()
    {
        int blocks = int.TryParse(Environment.GetEnvironmentVariable("QUORUMAIL_SNAPSHOT_MB"), CultureInfo.InvariantCulture, out int number) ? number : 32;
        await using ManagedCluster cluster = new(3);
        Dictionary<string, BulkState> states = new(StringComparer.Ordinal);
        await Task.WhenAll(cluster.Names.Select(name => StartAsync(cluster, states, name, blocks)).ToArray());
        await cluster.ReadyAsync();
        ClusterManager leader = await cluster.LeaderAsync();
        await ProposeAsync(leader, 100);

        // The log forgets what the states hold, so that nothing but a snapshot helps a node that has nothing.
        string wiped = cluster.Names.First(name => name != leader.NodeId);
        await cluster.StopAsync(wiped);
        await Task.WhenAll(cluster.Managers.Values.Select(manager => manager.Node!.CheckpointAsync()));
        Directory.Delete(cluster.Config(wiped).DataDirectory, recursive: true);
        long term = leader.Term;

        Stopwatch watch = Stopwatch.StartNew();
        Task<ClusterManager> back = StartAsync(cluster, states, wiped, 0);
        (int count, TimeSpan longest) = await ProposeUntilAsync(leader, () => back.IsCompleted && cluster.Managers[wiped].IsReady && states[wiped].Blocks == blocks);
        watch.Stop();
        await back;

        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{blocks} MiB were there after {watch.Elapsed.TotalSeconds:0.0} s; meanwhile {count} commands, the slowest {longest.TotalMilliseconds:0} ms, term {term} -> {leader.Term}"));
        Assert.Equal((term, leader.NodeId), (leader.Term, leader.LeaderId));
        Assert.True(longest < ClusterTimers.Default.ElectionUpper, $"a command took {longest}");
        await cluster.UntilAsync(() => states.Values.Select(state => state.Commands).Distinct().Count() == 1);
        Assert.Equal(100 + count, states[wiped].Commands);
    }

    private static async Task<ClusterManager> StartAsync(ManagedCluster cluster, Dictionary<string, BulkState> states, string name, int blocks)
    {
        ClusterConfig config = cluster.Config(name) with { HeartbeatIntervalMs = 5000, HeartbeatTimeoutMs = 15_000, LeaderElectionTimeoutMs = 10_000, Timers = null };
        BulkState state = new(config.DataDirectory + ".bulk", blocks);
        ClusterManager manager = new(config, new ClusterHost { Application = state });
        lock (cluster.Managers)
        {
            states[name] = state;
            cluster.Managers[name] = manager;
        }

        await manager.StartAsync(Token);
        return manager;
    }

    private static async Task ProposeAsync(ClusterManager manager, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(ProposalOutcome.Applied, (await manager.Log.ProposeAsync(new byte[100], Token)).Outcome);
        }
    }

    private static async Task<(int Count, TimeSpan Longest)> ProposeUntilAsync(ClusterManager manager, Func<bool> isEnough)
    {
        long start = Stopwatch.GetTimestamp();
        TimeSpan longest = TimeSpan.Zero;
        int count = 0;
        using PeriodicTimer pace = new(TimeSpan.FromMilliseconds(5));
        for (; !isEnough(); count++)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Limit, $"not there after {Limit}");
            long began = Stopwatch.GetTimestamp();
            await ProposeAsync(manager, 1);
            TimeSpan took = Stopwatch.GetElapsedTime(began);
            longest = took > longest ? took : longest;
            await pace.WaitForNextTickAsync(Token);
        }

        return (count, longest);
    }
}
