using System.Net;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Membership;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.State;
using Quorumail.Cluster.Tests.Network;

namespace Quorumail.Cluster.Tests.Raft;

[Collection("clusters")] // One after the other: time-outs are short.
public sealed class RecoveryTests : IDisposable
{
    private static readonly string[] Three = ["node1", "node2", "node3"];

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_lost_majority_is_recovered_from_one_disk_and_old_disks_stay_out_until_they_are_wiped()
    {
        await using TestCluster cluster = await TestCluster.FormAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        for (int i = 0; i < 30; i++)
        {
            Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(i)).Outcome);
        }

        await cluster.ConvergedAsync();
        long term = cluster.Nodes.Values.Max(n => n.Node.Term);
        (Guid clusterId, int incarnation) = (leader.Node.ClusterId, cluster.Nodes["node2"].Node.Incarnation);
        foreach (string name in Three)
        {
            await cluster.StopAsync(name);
        }

        MemoryState kept = cluster.Nodes["node2"].State.Reopen();
        RecoveryReport report = await RecoverAsync("node2", cluster.DirectoryOf("node2"), kept);
        Assert.Equal(["node1", "node3"], report.FormerMembers);
        Assert.NotEqual(clusterId, report.ClusterId);
        Assert.Equal(incarnation, report.Incarnation);
        TestNode recovered = cluster.Add("node2", Three, kept);
        await recovered.StartAsync();
        Assert.True(recovered.Node.Term > term);
        Assert.Equal(Enumerable.Range(0, 30), recovered.Numbers);
        Assert.Equal(ProposalOutcome.Applied, (await recovered.ProposeAsync(30)).Outcome);

        TestNode old = await cluster.RestartAsync("node1");
        cluster.Wipe("node3");
        TestNode wiped = cluster.Add("node3", Three);
        await wiped.StartAsync();
        await Eventually.TrueAsync(
            () => recovered.Node.Members.Count(m => m.IsVoter) == 2 && wiped.State.Count == 31, cluster.Describe);
        Assert.False(old.Node.IsReady);
        Assert.DoesNotContain(recovered.Node.Members, m => m.NodeId == "node1");
    }

    [Fact]
    public async Task What_was_written_and_never_known_as_committed_counts_after_a_recovery()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(1)).Outcome);
        await cluster.StopAsync(leader.Name);
        string directory = cluster.DirectoryOf(leader.Name);
        MemoryState kept = leader.State.Reopen();
        using (EntryJournal journal = EntryJournal.Open(Path.Combine(directory, "journal"), 16 << 20))
        {
            journal.Begin(kept.AppliedIndex);
            await journal.WaitDurableAsync(journal.Append(journal.LastTerm, RecordKind.Commands, Content(2)));
        }

        RecoveryReport report = await RecoverAsync(leader.Name, directory, kept);

        Assert.True(report.Uncertain > 0);
        Assert.Equal([1, 2], kept.Applied.Select(a => BitConverter.ToInt32(a.Command)));
    }

    [Fact]
    public async Task A_recovery_that_was_interrupted_keeps_the_node_from_starting_until_it_is_done_again()
    {
        await using TestCluster cluster = await TestCluster.FormAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(1)).Outcome);
        await cluster.ConvergedAsync();
        foreach (string name in Three)
        {
            await cluster.StopAsync(name);
        }

        string directory = cluster.DirectoryOf("node1");
        new RecoveryMark(7, ["node2", "node3"]).Write(directory);
        MembershipFile.Found(Path.Combine(directory, "members"), [new DnsEndPoint("node1", 9)]);
        JournalException refused = await Assert.ThrowsAsync<JournalException>(() => cluster.RestartAsync("node1"));
        Assert.Contains("do it again", refused.Message, StringComparison.Ordinal);

        MemoryState kept = cluster.Nodes["node1"].State.Reopen();
        RecoveryReport report = await RecoverAsync("node1", directory, kept);
        Assert.Equal(["node2", "node3"], report.FormerMembers);
        Assert.True(report.Uncertain >= 7);
        await cluster.StopAsync("node1");
        TestNode again = cluster.Add("node1", Three, kept);
        await again.StartAsync();
        Assert.Equal(ProposalOutcome.Applied, (await again.ProposeAsync(2)).Outcome);
        Assert.Equal([1, 2], again.Numbers);
    }

    [Fact]
    public async Task A_state_that_a_snapshot_left_ahead_of_the_log_misses_nothing_that_comes_after_a_recovery()
    {
        // As after the installation of a snapshot whose parts are of several moments: the log ends at 10, the application at 15.
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        TestNode leader = await cluster.LeaderAsync();
        Assert.Equal(ProposalOutcome.Applied, (await leader.ProposeAsync(1)).Outcome);
        await leader.Node.CheckpointAsync();
        await cluster.StopAsync(leader.Name);
        string directory = cluster.DirectoryOf(leader.Name);
        MemoryState ahead = leader.State.Reopen();
        long index;
        using (EntryJournal journal = EntryJournal.Open(Path.Combine(directory, "journal"), 16 << 20))
        {
            index = new ClusterState(Path.Combine(directory, "cluster")).AppliedIndex;
            journal.Begin(index);
            journal.Restart(new JournalMark(index, journal.LastTerm, 0, index + 5));
        }

        ahead.Apply(index + 5, long.MaxValue / 2, [BitConverter.GetBytes(2)], new ReadOnlyMemory<byte>[1]);
        await ahead.FlushAsync(Token);

        RecoveryReport report = await RecoverAsync(leader.Name, directory, ahead);

        Assert.Equal(index + 5, report.AppliedIndex);
        TestNode recovered = cluster.Add(leader.Name, Three, ahead.Reopen());
        cluster.Network.Isolate(leader.Name, silently: false);
        await recovered.StartAsync();
        Assert.Equal(ProposalOutcome.Applied, (await recovered.ProposeAsync(3)).Outcome);
        Assert.Equal([1, 2, 3], recovered.Numbers);
    }

    [Fact]
    public async Task A_large_shared_state_is_durable_when_the_recovery_ends()
    {
        ClusterConfig config = new() { NodeId = "node1", BindAddress = "127.0.0.1", BindPort = 0, DataDirectory = _directory["cluster"] };
        ClusterManager manager = new(config);
        await using (manager)
        {
            await manager.StartAsync(Token);
            await manager.WaitUntilReadyAsync(Token);
            for (int i = 0; i < 40; i++)
            {
                await manager.StateStore.SetAsync($"key{i}", new string('x', 100_000), token: Token);
            }
        }

        // A second member, so that there is something to recover from.
        MembershipFile.Found(Path.Combine(config.LogDirectory, "members"), [new DnsEndPoint("node1", 1), new DnsEndPoint("node2", 2)]);
        ClusterRecovery recovery = await ClusterRecovery.OpenAsync(config, null, Token);
        await using (recovery)
        {
            Assert.Equal(["node2"], recovery.Plan.FormerMembers);
            await recovery.ForceNewClusterAsync();
        }

        StateStoreState state = await StateStoreState.OpenAsync(config.StoreDirectory, new ReplicationCounters(), null, Token);
        await using (state)
        {
            Assert.Equal(40, state.Read(s => s.Count));
        }
    }

    [Fact]
    public async Task There_is_nothing_to_recover_on_an_empty_disk_on_a_lone_member_or_under_a_running_node()
    {
        ClusterConfig config = new() { NodeId = "node1", BindAddress = "127.0.0.1", BindPort = 0, DataDirectory = _directory["cluster"] };
        InvalidOperationException empty = await Assert.ThrowsAsync<InvalidOperationException>(() => ClusterRecovery.OpenAsync(config, null, Token));
        Assert.Contains("no log", empty.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(config.StoreDirectory));

        ClusterManager manager = new(config);
        await using (manager)
        {
            await manager.StartAsync(Token);
            await manager.WaitUntilReadyAsync(Token);
            IOException running = await Assert.ThrowsAsync<IOException>(() => ClusterRecovery.OpenAsync(config, null, Token));
            Assert.Contains("a node runs on it", running.Message, StringComparison.Ordinal);
        }

        InvalidOperationException alone = await Assert.ThrowsAsync<InvalidOperationException>(() => ClusterRecovery.OpenAsync(config, null, Token));
        Assert.Contains("only member", alone.Message, StringComparison.Ordinal);
        JournalException other = await Assert.ThrowsAsync<JournalException>(() => ClusterRecovery.OpenAsync(config with { NodeId = "node2" }, null, Token));
        Assert.Contains("disk of node1", other.Message, StringComparison.Ordinal);
    }

    private static byte[] Content(int number)
    {
        byte[] content = new byte[LogEntryFormat.HeaderSize + LogEntryFormat.CommandHeaderSize + sizeof(int)];
        LogEntryFormat.WriteHeader(content, 1, 1);
        LogEntryFormat.WriteCommand(content.AsSpan(LogEntryFormat.HeaderSize), new LoggedCommand(CommandTarget.Application, 1, 0, BitConverter.GetBytes(number)));
        return content;
    }

    private static async Task<RecoveryReport> RecoverAsync(string nodeId, string directory, MemoryState state)
    {
        ClusterRecovery recovery = await ClusterRecovery.OpenAsync(
            new ClusterNodeOptions { NodeId = nodeId, Directory = directory }, state, null, null, Token);
        await using (recovery)
        {
            return await recovery.ForceNewClusterAsync();
        }
    }
}
