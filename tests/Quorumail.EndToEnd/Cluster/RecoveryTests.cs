using System.Globalization;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Cluster;

/// <summary>Two of three servers are gone for good: the third goes on, and nobody joins it with what the old cluster left.</summary>
public sealed class RecoveryTests
{
    private const int Keys = 60;

    private static readonly string[] Recover = ["cluster", "recover", "--force-new-cluster"];
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_last_disk_of_three_founds_a_new_cluster_with_every_acknowledged_key()
    {
        await using var cluster = new ClusterServers(3);
        await cluster.StartAllAsync(Limit, Token);
        for (var i = 0; i < Keys; i++)
        {
            Assert.True(await cluster.TryPutAsync(i % 3, Key(i), Key(i), Token), cluster.Outputs);
        }

        // A fresh read: the third has everything that was acknowledged before.
        Assert.Equal(Key(0), await cluster.GetAsync(2, Key(0), "linearizable", Token));
        var running = await cluster.RunAsync(2, Token, [.. Recover, "--yes"]);
        Assert.Equal(1, running.ExitCode);
        Assert.Contains("in use by another running server", running.Output, StringComparison.Ordinal);

        for (var i = 0; i < 3; i++)
        {
            await cluster.KillAsync(i);
        }

        cluster.Wipe(0);
        var asked = await cluster.RunAsync(2, Token, Recover);
        Assert.Equal(2, asked.ExitCode);
        Assert.Contains("What a majority has acknowledged and this disk never received is lost", asked.Output, StringComparison.Ordinal);
        Assert.Contains("nothing was changed", asked.Output, StringComparison.Ordinal);
        var recovered = await cluster.RunAsync(2, Token, [.. Recover, "--yes"]);
        Assert.True(recovered.ExitCode == 0, recovered.Output);
        Assert.Contains("The disks of node1, node2 belong to the old cluster", recovered.Output, StringComparison.Ordinal);

        await cluster.StartAsync(2);
        await cluster.UntilReadyAsync([2], Limit, Token);
        Assert.Equal(2, await cluster.LeaderAsync([2], Token));
        await AssertAllThereAsync(cluster, 2);
        Assert.True(await cluster.TryPutAsync(2, "after", "recovery", Token), cluster.Outputs);

        await AssertTheOldDiskIsRefusedAsync(cluster, old: 1, founder: 2);

        // A disk without anything on it is welcome; so is the old one, once it has been emptied.
        await cluster.StartAsync(0);
        await cluster.UntilReadyAsync([0], Limit, Token);
        await AssertAllThereAsync(cluster, 0);
        await cluster.KillAsync(1);
        cluster.Wipe(1);
        await cluster.StartAsync(1);
        await cluster.UntilReadyAsync([0, 1, 2], Limit, Token);
        await cluster.UntilWholeAsync(Limit, Token);
        await AssertAllThereAsync(cluster, 1);
        Assert.Equal("recovery", await cluster.GetAsync(1, "after", "linearizable", Token));
    }

    [Fact]
    public async Task Mail_on_the_last_disk_is_delivered_after_the_recovery()
    {
        var port = FreePort.Take();
        await using var cluster = new ClusterServers(
            3,
            string.Create(CultureInfo.InvariantCulture, $"""
                in_doubt_wait = "5s"
                [queue]
                retry_schedule = ["1s"]
                [[routes]]
                match = "*"
                transport = "smtp"
                host = "127.0.0.1"
                port = {port}
                """),
            "trusted_networks = [\"127.0.0.0/8\"]");
        await cluster.StartAllAsync(Limit, Token);

        // Nobody listens at the next hop yet. The node that takes a message has one of its copies.
        var load = new LoadClient(new LoadPlan { Port = cluster.SmtpPort(2), Sessions = 4, Messages = 40 });
        await load.RunAsync(CancellationToken.None, Token);
        Assert.All(load.Sent, message => Assert.Equal(SendOutcome.Acknowledged, message.Outcome));
        for (var i = 0; i < 3; i++)
        {
            await cluster.KillAsync(i);
        }

        var recovered = await cluster.RunAsync(2, Token, [.. Recover, "--yes", "--json"]);
        Assert.True(recovered.ExitCode == 0, recovered.Output);
        await using var sink = new SmtpSink(port);
        await cluster.StartAsync(2);
        await cluster.UntilReadyAsync([2], Limit, Token);
        await sink.UntilDeliveredAsync(load.Sent, Limit, Token);
        await cluster.UntilQueueEmptyAsync([2], Limit, Token);
        var verdict = MailLedger.Settle(load.Sent, sink.Copies, await cluster.SuspectsAsync(2, Token));
        Assert.True(verdict.IsGreen, $"{verdict}\n{cluster.Outputs}");
    }

    [Fact]
    public async Task There_is_nothing_to_recover_where_no_cluster_was()
    {
        await using var cluster = new ClusterServers(1);

        var unsaid = await cluster.RunAsync(0, Token, "cluster", "recover", "--yes");
        var empty = await cluster.RunAsync(0, Token, [.. Recover, "--yes"]);

        Assert.Equal(2, unsaid.ExitCode);
        Assert.Contains("--force-new-cluster", unsaid.Output, StringComparison.Ordinal);
        Assert.Equal(1, empty.ExitCode);
        Assert.Contains("there is nothing to recover", empty.Output, StringComparison.Ordinal);
    }

    private static async Task AssertTheOldDiskIsRefusedAsync(ClusterServers cluster, int old, int founder)
    {
        await cluster.StartAsync(old);
        foreach (var node in new[] { old, founder })
        {
            await Deadline.UntilAsync(
                () => RefusalsIn(cluster.OutputOf(node)) > 0, Limit, () => $"{cluster.NameOf(node)} does not say that it refuses.\n{cluster.Outputs}", Token);
        }

        // It is told once by whoever dials and once by whoever is dialled, however often that is.
        for (var i = 0; i < 20; i++)
        {
            Assert.True(await cluster.TryPutAsync(founder, string.Create(CultureInfo.InvariantCulture, $"meanwhile-{i}"), "x", Token), cluster.Outputs);
        }

        Assert.InRange(RefusalsIn(cluster.OutputOf(old)), 1, 2);
        Assert.InRange(RefusalsIn(cluster.OutputOf(founder)), 1, 2);
        Assert.Equal(-1, await cluster.LeaderAsync([old], Token));
        var status = await cluster.StatusAsync(founder, Token);
        Assert.Equal(1, status!.Value.GetProperty("total_nodes").GetInt32());
    }

    private static int RefusalsIn(string output) =>
        output.Split('\n').Count(line => line.Contains("belongs to cluster", StringComparison.Ordinal));

    private static async Task AssertAllThereAsync(ClusterServers cluster, int node)
    {
        for (var i = 0; i < Keys; i++)
        {
            Assert.Equal(Key(i), await cluster.GetAsync(node, Key(i), i == 0 ? "linearizable" : "local", Token));
        }
    }

    private static string Key(int number) => string.Create(CultureInfo.InvariantCulture, $"key-{number}");
}
