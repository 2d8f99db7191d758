using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;
using Quorumail.Server.Tests.Http;

namespace Quorumail.Server.Tests.CommandLine;

/// <summary><c>smtp-server cluster</c>, in a process of its own, against a server in this one.</summary>
public sealed class ClusterCommandTests : IAsyncLifetime
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("quorumail-");
    private readonly ServerStatus _status = new(TimeProvider.System);
    private readonly ScriptedCluster _cluster = new();
    private HttpServer _http = null!;
    private ImmediateStore _store = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _store = await ImmediateStore.OpenAsync(Token);
        _cluster.Store = _store.Store;
        _status.Open(_cluster);
        _http = await HttpServer.StartAsync(new HttpOptions { Port = 0, Token = "0123456789abcdef" }, _status, NullLoggerFactory.Instance, Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _http.DisposeAsync();
        await _store.DisposeAsync();
        _directory.Delete(recursive: true);
    }

    [Fact]
    public async Task Status_nodes_and_events_are_shown_as_tables_and_as_json()
    {
        var status = await RunAsync("cluster status");
        Assert.Equal((0, ""), (status.Code, status.Error));
        Assert.Contains("leader    node1 in term 7, quorum: yes", status.Output, StringComparison.Ordinal);
        Assert.Contains("this node node1, leader, healthy, up 3600 s", status.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("durability", status.Output, StringComparison.Ordinal);
        _status.Open(new QueueView(() => default, () => 0, () => 0) { Durability = () => (1, 2) });
        Assert.Contains("durability 250 means 1 disk, fewer than a majority (2)", (await RunAsync("cluster status")).Output, StringComparison.Ordinal);
        Assert.Contains("\"total_nodes\": 3", (await RunAsync("cluster status --json")).Output, StringComparison.Ordinal);

        var nodes = await RunAsync("cluster nodes");
        Assert.Matches("node2 +192.168.1.102:9000 +follower +degraded +2009-02-13 23:31:31Z +5 +80 +45.2 +128 +42 +1500 +v0.26.0 +a round trip", nodes.Output);
        Assert.Matches("node3 +192.168.1.103:9000 +follower +disconnected +never", nodes.Output);

        var events = await RunAsync("cluster events --limit 1");
        Assert.Matches("1970-01-01 00:00:01Z +7 +election_won +elected by node2", events.Output);
        Assert.DoesNotContain('\u001b', events.Output);
    }

    [Fact]
    public async Task Shared_state_is_set_read_listed_and_deleted()
    {
        Assert.Equal((0, "greeting has version 1\n", ""), await RunAsync("cluster state set greeting hello"));
        Assert.Equal((0, "hello", ""), await RunAsync("cluster state get greeting --read linearizable"));
        Assert.Equal((0, "a/b?c has version 2\n", ""), await RunAsync("cluster state set a/b?c --ttl 5m", "from a pipe\n"));
        Assert.Equal((0, "from a pipe\n", ""), await RunAsync("cluster state get a/b?c"));
        Assert.Matches("a/b\\?c +12 +2 .*\n.*greeting +5 +1 ", (await RunAsync("cluster state list")).Output);
        Assert.DoesNotContain("greeting", (await RunAsync("cluster state list a/")).Output, StringComparison.Ordinal);
        Assert.Equal((0, "greeting is deleted\n", ""), await RunAsync("cluster state delete greeting"));

        var gone = await RunAsync("cluster state get greeting");
        Assert.Equal((3, ""), (gone.Code, gone.Output));
        Assert.Contains("404: no such key", gone.Error, StringComparison.Ordinal);
        Assert.Equal(3, (await RunAsync("cluster state set k v --ttl never")).Code);
    }

    [Fact]
    public async Task What_an_operator_asks_for_is_done_or_the_reason_is_told()
    {
        foreach (var call in (string[])["elect", "transfer node2", "transfer", "join node4:9000", "leave", "remove node3", "leave --force", "remove node3 --force"])
        {
            Assert.Equal(0, (await RunAsync($"cluster {call}")).Code);
        }

        Assert.Equal(
            [
                "election", "transfer node2", "transfer anyone", "join node4:9000",
                "drain node1", "leave", "drain node3", "remove node3", "leave by force", "remove node3 by force",
            ],
            _cluster.Asked);
        _cluster.Failure = new InvalidOperationException("a change is under way");
        var refused = await RunAsync("cluster leave");
        Assert.Equal(3, refused.Code);
        Assert.Contains("409: a change is under way", refused.Error, StringComparison.Ordinal);
        Assert.Equal(2, (await RunAsync("cluster remove")).Code);
    }

    [Fact]
    public async Task Draining_shows_how_far_it_is_and_ends_when_nothing_depends_on_the_node()
    {
        _cluster.Drains.Clear();
        _cluster.Drains.Enqueue(new("", true, "node1", 1, 120, new(200, 17, 2), 2, null));
        _cluster.Drains.Enqueue(new("", true, "another", 0, 0, new(200, 1, 0), 2, null));
        _cluster.Drains.Enqueue(new("", true, "another", 0, 0, new(200, 0, 0), 2, null));
        var drained = await RunAsync("drain");
        Assert.Equal((0, ""), (drained.Code, drained.Error));
        Assert.Equal(
            "node1 drains: it leads the cluster; 1 SMTP session is open; 120 messages are its to deliver; 17 messages have fewer than 2 copies on other living nodes\n"
            + "node1 drains: 1 message has fewer than 2 copies on other living nodes\n"
            + "Nothing depends on node1 any more: it can be stopped, or leave. It takes mail again after a start, or after drain --cancel.\n",
            drained.Output);
        Assert.Contains("\"done\": true", (await RunAsync("drain node2 --json")).Output, StringComparison.Ordinal);
        Assert.Equal((0, "node1 takes mail and messages again.\n", ""), await RunAsync("drain --cancel"));
        Assert.Equal(["drain node1", "drain node2", "cancel drain node1"], _cluster.Asked);
        Assert.Equal(2, (await RunAsync("drain --timeout never")).Code);
    }

    [Fact]
    public async Task Draining_that_can_not_come_to_its_end_says_what_is_left_and_nothing_leaves()
    {
        _cluster.Drains.Clear();
        _cluster.Drains.Enqueue(new("", true, "another", 0, 0, new(200, 17, 2), 2, "node2 is down"));
        foreach (var command in (string[])["drain", "cluster leave"])
        {
            var stuck = await RunAsync(command);
            Assert.Equal(4, stuck.Code);
            Assert.Contains("17 messages have fewer than 2 copies on other living nodes (node2 is down). It goes on draining. 2 messages are on no other disk.", stuck.Error, StringComparison.Ordinal);
        }

        Assert.Equal(4, (await RunAsync("cluster remove node3 --timeout 1ms")).Code);
        Assert.DoesNotContain("leave", _cluster.Asked);
        var forced = await RunAsync("cluster leave --force");
        Assert.Equal(0, forced.Code);
        Assert.Contains("2 messages are on no other disk than that of node1 and are lost", forced.Error, StringComparison.Ordinal);
    }

    private Task<(int Code, string Output, string Error)> RunAsync(string arguments, string input = "") =>
        ServerProgram.RunAsync(
            _directory.FullName, $"{arguments} --http-port {_http.EndPoint.Port}", input, Token, ("SMTP_HTTP_TOKEN", "0123456789abcdef"));
}
