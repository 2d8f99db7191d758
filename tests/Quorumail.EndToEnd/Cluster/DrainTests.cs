using System.Globalization;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Cluster;

/// <summary>Nodes that are taken out of service: nothing depends on them any more when the command says so.</summary>
public sealed class DrainTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly CancellationToken _token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_node_that_drains_gives_up_mail_messages_copies_and_leadership_and_can_be_lost()
    {
        await using SmtpSink sink = new() { Script = NotNow };
        await using var servers = await FormAsync(sink, "refuse_grace = \"1s\"");
        var loads = await LoadAsync(servers, [0, 1, 2]);
        var leader = await servers.LeaderAsync([0], _token);
        int[] rest = [.. Enumerable.Range(0, 3).Where(i => i != leader)];
        using var idle = await SmtpConversation.ConnectAsync(servers.SmtpPort(leader), _token);
        await idle.ReadReplyAsync(_token);

        var drained = await servers.RunAsync(leader, _token, "drain", "--timeout", "40s");
        output.WriteLine(drained.Output);
        Assert.True(drained.ExitCode == 0, $"{drained.Output}\n{servers.Outputs}");
        Assert.Contains($"Nothing depends on {servers.NameOf(leader)} any more", drained.Output, StringComparison.Ordinal);
        Assert.Equal(421, (await idle.ReadReplyAsync(_token)).Code);
        await Deadline.UntilAsync(async each => await servers.LeaderAsync([rest[0]], each) is >= 0 and var next && next != leader, Limit, () => $"it leads still\n{servers.Outputs}", _token);
        await servers.UntilMetricAsync(leader, "smtp_queue_owned 0", Limit, _token);
        await servers.UntilMetricAsync(leader, "smtp_ready 0", Limit, _token);
        await servers.UntilMetricAsync(rest[0], "smtp_queue_copies_missing 0", Limit, _token);
        await Deadline.UntilAsync(each => servers.RefusesConnectionsAsync(leader, each), Limit, () => $"it still listens\n{servers.Outputs}", _token);

        // Back, and out again: then its disk and one other, all but one of three, may go.
        Assert.Equal(0, (await servers.RunAsync(rest[0], _token, "drain", servers.NameOf(leader), "--cancel")).ExitCode);
        await servers.UntilReadyAsync([leader], Limit, _token);
        await Deadline.UntilAsync(async each => !await servers.RefusesConnectionsAsync(leader, each), Limit, () => $"it does not listen\n{servers.Outputs}", _token);
        Assert.Equal(0, (await servers.RunAsync(leader, _token, "drain")).ExitCode);
        await servers.KillAsync(leader);
        sink.Script = static (_, _) => SinkAction.Accept;
        await SettleAsync(servers, rest, sink, loads);
    }

    [Fact]
    public async Task A_node_leaves_when_there_are_copies_elsewhere_and_a_dead_one_is_removed_only_then()
    {
        await using SmtpSink sink = new() { Script = NotNow };
        await using var servers = await FormAsync(sink);
        var loads = await LoadAsync(servers, [0, 1, 2]);
        var left = await servers.RunAsync(2, _token, "cluster", "leave", "--timeout", "40s");
        output.WriteLine(left.Output);
        Assert.True(left.ExitCode == 0, $"{left.Output}\n{servers.Outputs}");
        await servers.KillAsync(2);
        servers.Wipe(2);
        await servers.UntilMetricAsync(0, "smtp_queue_without_copy 0", Limit, _token);
        await servers.UntilMetricAsync(0, "smtp_queue_copies_missing 0", Limit, _token);
        await servers.StartAsync(2);
        await servers.UntilReadyAsync([2], Limit, _token);
        await servers.UntilWholeAsync(Limit, _token);

        await servers.KillAsync(2);
        await servers.UntilMetricAsync(0, "smtp_cluster_node_status{node=\"node3\"} 3", Limit, _token);
        var removed = await servers.RunAsync(0, _token, "cluster", "remove", "node3");
        Assert.True(removed.ExitCode == 0, $"{removed.Output}\n{servers.Outputs}");
        sink.Script = static (_, _) => SinkAction.Accept;
        await SettleAsync(servers, [0, 1], sink, loads);
    }

    // At the sender, so that the destination is not taken for unreachable and left alone.
    private static SinkAction NotNow(SinkStage stage, string argument) => stage == SinkStage.Mail ? SinkAction.Say("451 4.3.0 not now") : SinkAction.Accept;

    private static Task<ClusterServers> FormAsync(SmtpSink sink, string server = "") => ClusterServers.FormAsync(
        string.Create(CultureInfo.InvariantCulture, $"""
            [queue]
            retry_schedule = ["1s"]
            [[routes]]
            match = "*"
            transport = "smtp"
            host = "127.0.0.1"
            port = {sink.Port}
            """),
        $"trusted_networks = [\"127.0.0.0/8\"]\n{server}",
        Limit,
        TestContext.Current.CancellationToken);

    private async Task<IReadOnlyCollection<SentMessage>> LoadAsync(ClusterServers servers, IEnumerable<int> nodes)
    {
        LoadClient[] loads = [.. nodes.Select(i => new LoadClient(new LoadPlan { Port = servers.SmtpPort(i), Name = $"drain-{i}", Sessions = 4, Messages = 30, Seed = i }))];
        await Task.WhenAll(loads.Select(load => load.RunAsync(CancellationToken.None, _token)));
        SentMessage[] sent = [.. loads.SelectMany(load => load.Sent)];
        Assert.All(sent, message => Assert.Equal(SendOutcome.Acknowledged, message.Outcome));
        return sent;
    }

    private async Task SettleAsync(ClusterServers servers, int[] nodes, SmtpSink sink, IReadOnlyCollection<SentMessage> sent)
    {
        await sink.UntilDeliveredAsync(sent, Limit, _token);
        await servers.UntilQueueEmptyAsync(nodes, Limit, _token);
        var verdict = MailLedger.Settle(sent, sink.Copies, await servers.SuspectsAsync(nodes[0], _token));
        Assert.True(verdict.IsGreen, $"{verdict}\n{servers.Outputs}");
        Assert.Empty(verdict.DuplicateListed);
    }
}
