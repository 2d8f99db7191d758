using System.Globalization;
using System.Text.Json;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Cluster;

/// <summary>What an operator does to the queue on one node holds on all, whoever leads.</summary>
public sealed class QueueAdministrationTests
{
    private const int Left = 4;
    private const int Right = 3;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly CancellationToken _token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_change_may_be_made_on_any_node_matches_what_it_means_and_survives_the_leader()
    {
        await using SmtpSink sink = new()
        {
            Script = static (stage, _) => stage == SinkStage.Mail ? SinkAction.Say("451 4.3.0 not now") : SinkAction.Accept,
        };
        await using var servers = await ClusterServers.FormAsync(
            string.Create(CultureInfo.InvariantCulture, $"""
                [queue]
                retry_schedule = ["1h"]
                [[routes]]
                match = "*"
                transport = "smtp"
                host = "127.0.0.1"
                port = {sink.Port}
                """),
            "trusted_networks = [\"127.0.0.0/8\"]",
            Limit,
            _token);
        await SendAsync(servers, 0, "left.example", Left);
        await SendAsync(servers, 1, "right.example", Right);
        await UntilListedAsync(servers, [0, 1, 2], Left + Right, "retry");

        Assert.Equal(Left, await MatchedAsync(servers, 2, "hold", "--domain", "left.example"));
        Assert.Equal(0, await MatchedAsync(servers, 0, "hold", "--domain", "left.example"));
        await UntilListedAsync(servers, [0, 1, 2], Left, "held");
        Assert.Equal(0, (await servers.RunAsync(1, _token, "queue", "suspend", "--domain", "right.example", "--reason", "moves today", "--ttl", "2h")).ExitCode);

        var leader = await servers.LeaderAsync([0], _token);
        int[] rest = [.. Enumerable.Range(0, 3).Where(i => i != leader)];
        await servers.KillAsync(leader);
        await servers.UntilReadyAsync(rest, Limit, _token);
        sink.Script = static (_, _) => SinkAction.Accept;
        Assert.Contains("moves today", (await servers.RunAsync(rest[1], _token, "queue", "suspensions")).Output, StringComparison.Ordinal);

        // Two of those that are held go on their way, the other two are deleted; nothing that is suspended goes.
        var ids = (await ListAsync(servers, rest[0], "--state", "held")).GetProperty("messages").EnumerateArray()
            .Select(message => message.GetProperty("id").GetString()!).Take(2).ToArray();
        foreach (var id in ids)
        {
            Assert.Equal(1, await MatchedAsync(servers, rest[0], "release", id));
        }

        await MatchedAsync(servers, rest[1], "requeue", "--all");
        await sink.UntilCopiesAsync(2, Limit, _token);
        Assert.Equal(Left - 2, await MatchedAsync(servers, rest[1], "delete", "--state", "held", "--reason", "nobody wants it", "--yes"));
        await UntilListedAsync(servers, rest, Right);
        Assert.Equal(2, sink.Copies.Count);
        Assert.Contains("nobody wants it", (await servers.RunAsync(rest[0], _token, "queue", "removals")).Output, StringComparison.Ordinal);

        Assert.Equal(0, (await servers.RunAsync(rest[0], _token, "queue", "resume", "--domain", "right.example")).ExitCode);
        await MatchedAsync(servers, rest[0], "requeue", "--domain", "right.example");
        await sink.UntilCopiesAsync(2 + Right, Limit, _token);
        await servers.StartAsync(leader);
        await servers.UntilReadyAsync([leader], Limit, _token);
        await UntilListedAsync(servers, [0, 1, 2], 0);
        Assert.Equal(2 + Right, sink.Copies.Count);
    }

    private async Task SendAsync(ClusterServers servers, int node, string domain, int count)
    {
        LoadClient client = new(new LoadPlan
        {
            Port = servers.SmtpPort(node),
            Name = domain,
            Sessions = 1,
            Messages = count,
            MaximumRecipients = 1,
            Recipient = _ => $"somebody@{domain}",
        });
        await client.RunAsync(CancellationToken.None, _token);
        Assert.Equal(count, client.Acknowledged);
    }

    private async Task<JsonElement> ListAsync(ClusterServers servers, int node, params string[] filter) => await JsonAsync(servers, node, ["list", .. filter]);

    private async Task<int> MatchedAsync(ClusterServers servers, int node, params string[] command) =>
        (await JsonAsync(servers, node, command)).GetProperty("matched").GetInt32();

    private async Task<JsonElement> JsonAsync(ClusterServers servers, int node, string[] command)
    {
        var (code, text) = await servers.RunAsync(node, _token, ["queue", .. command, "--json"]);
        Assert.True(code == 0, $"{string.Join(' ', command)}: {text}\n{servers.Outputs}");
        return JsonElement.Parse(text[text.IndexOf('{', StringComparison.Ordinal)..]);
    }

    // Asked again and again by HTTP: a command is a process each time.
    private async Task UntilListedAsync(ClusterServers servers, int[] nodes, int count, string? state = null)
    {
        foreach (var node in nodes)
        {
            await Deadline.UntilAsync(
                async token => await servers.CountListedAsync(node, state, token) == count, Limit, () => $"not {count} on {servers.NameOf(node)}\n{servers.Outputs}", _token);
        }
    }
}
