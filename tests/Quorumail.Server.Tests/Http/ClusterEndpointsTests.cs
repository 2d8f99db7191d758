using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Log;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;

namespace Quorumail.Server.Tests.Http;

public sealed class ClusterEndpointsTests : IAsyncLifetime
{
    private readonly ServerStatus _status = new(TimeProvider.System);
    private readonly ScriptedCluster _cluster = new();
    private readonly HttpClient _client = new();
    private HttpServer _http = null!;
    private ImmediateStore _store = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _store = await ImmediateStore.OpenAsync(Token);
        _cluster.Store = _store.Store;
        _status.Open(_cluster);
        _status.Open(new QueueView(() => default, () => 0, () => 0));
        _status.SetPhase(null);
        _http = await HttpServer.StartAsync(new HttpOptions { Port = 0 }, _status, NullLoggerFactory.Instance, Token);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _http.DisposeAsync();
        await _store.DisposeAsync();
    }

    [Fact]
    public async Task The_status_has_the_guides_fields_and_the_term()
    {
        var json = await JsonAsync(HttpMethod.Get, "status");

        Assert.Equal((3, 3, 0), (json.GetProperty("total_nodes").GetInt32(), json.GetProperty("healthy_nodes").GetInt32(), json.GetProperty("unhealthy_nodes").GetInt32()));
        Assert.Equal("node1", json.GetProperty("leader_id").GetString());
        var local = json.GetProperty("local_node");
        Assert.Equal(("node1", "leader", "healthy"), (local.GetProperty("id").GetString(), local.GetProperty("role").GetString(), local.GetProperty("status").GetString()));
        Assert.Equal(3600, local.GetProperty("uptime_seconds").GetInt64());
        Assert.Equal((7, 100, 99), (json.GetProperty("term").GetInt64(), json.GetProperty("commit_index").GetInt64(), json.GetProperty("applied_index").GetInt64()));
        Assert.True(json.GetProperty("quorum").GetBoolean());

        _cluster.Stats = new(3, 1, 0, null);
        json = await JsonAsync(HttpMethod.Get, "status");
        Assert.Equal(JsonValueKind.Null, json.GetProperty("leader_id").ValueKind);
        Assert.Equal(2, json.GetProperty("unhealthy_nodes").GetInt32());
    }

    [Fact]
    public async Task Any_node_can_be_asked_about_any_node()
    {
        var json = await JsonAsync(HttpMethod.Get, "nodes/node1");

        Assert.Equal(("node1", "192.168.1.101", 9000), (json.GetProperty("id").GetString(), json.GetProperty("address").GetString(), json.GetProperty("port").GetInt32()));
        Assert.Equal(("leader", "healthy", 1234567890), (json.GetProperty("role").GetString(), json.GetProperty("status").GetString(), json.GetProperty("last_heartbeat").GetInt64()));
        Assert.Equal(
            """{"version":"v0.26.0","uptime_seconds":3600,"active_connections":42,"messages_processed":1500,"cpu_usage":45.2,"memory_usage_mb":128}""",
            json.GetProperty("metadata").GetRawText());
        Assert.Equal(80, (await JsonAsync(HttpMethod.Get, "nodes/node2")).GetProperty("rtt_ms").GetDouble());
        Assert.Equal(JsonValueKind.Null, (await JsonAsync(HttpMethod.Get, "nodes/node3")).GetProperty("metadata").ValueKind);
        Assert.Equal(3, (await JsonAsync(HttpMethod.Get, "nodes")).GetProperty("nodes").GetArrayLength());
        Assert.Contains("node9", await ErrorAsync(HttpMethod.Get, "nodes/node9", HttpStatusCode.NotFound), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Replication_counts_what_waits_here_and_what_the_slowest_node_lacks()
    {
        var json = await JsonAsync(HttpMethod.Get, "replication/stats");

        Assert.Equal((8, 1, 5.12), (json.GetProperty("pending_updates").GetInt64(), json.GetProperty("failed_replications").GetInt64(), json.GetProperty("avg_latency_ms").GetDouble()));
        Assert.Equal(5, json.GetProperty("nodes")[1].GetProperty("lag").GetInt64());
    }

    [Fact]
    public async Task Events_are_listed_oldest_first_and_bounded()
    {
        Assert.Equal("leader_missed", (await JsonAsync(HttpMethod.Get, "events")).GetProperty("events")[0].GetProperty("kind").GetString());
        Assert.Equal("election_won", (await JsonAsync(HttpMethod.Get, "events?limit=1")).GetProperty("events")[0].GetProperty("kind").GetString());
        await ErrorAsync(HttpMethod.Get, "events?limit=0", HttpStatusCode.BadRequest);
    }

    [Fact]
    public async Task What_an_operator_asks_for_reaches_the_cluster_and_is_answered_with_its_status()
    {
        Assert.Equal(7, (await JsonAsync(HttpMethod.Post, "election")).GetProperty("term").GetInt64());
        await JsonAsync(HttpMethod.Post, "transfer?target=node2");
        await JsonAsync(HttpMethod.Post, "transfer");
        await JsonAsync(HttpMethod.Post, "join?address=node4:9000");
        await JsonAsync(HttpMethod.Post, "leave");
        await JsonAsync(HttpMethod.Delete, "nodes/node3");
        await JsonAsync(HttpMethod.Post, "leave?force=true");
        await JsonAsync(HttpMethod.Delete, "nodes/node3?force=true");
        Assert.Equal(
            ["election", "transfer node2", "transfer anyone", "join node4:9000", "leave", "remove node3", "leave by force", "remove node3 by force"], _cluster.Asked);
        await ErrorAsync(HttpMethod.Post, "join", HttpStatusCode.BadRequest);
        await ErrorAsync(HttpMethod.Post, "leave?force=perhaps", HttpStatusCode.BadRequest);
    }

    [Fact]
    public async Task A_node_that_drains_tells_what_depends_on_it()
    {
        _cluster.Drains.Clear();
        _cluster.Drains.Enqueue(new("node1", true, "node1", 3, 120, new(200, 17, 2), 2, "node2 is down"));
        _cluster.Drains.Enqueue(new("node1", true, "another", null, 0, new(200, 0, 0), 2, null));

        var begun = await JsonAsync(HttpMethod.Post, "drain");
        Assert.Equal(
            """{"node":"node1","draining":true,"done":false,"leads":true,"sessions":3,"owned":120,"held":200,"copies_missing":17,"only_copy":2,"wanted_copies":2,"waits_for":["it leads the cluster","3 SMTP sessions are open","120 messages are its to deliver","17 messages have fewer than 2 copies on other living nodes"],"stuck":"node2 is down"}""",
            begun.GetRawText());
        Assert.True((await JsonAsync(HttpMethod.Get, "drain?node=node2")).GetProperty("done").GetBoolean());
        await JsonAsync(HttpMethod.Delete, "drain?node=node2");
        Assert.Equal(["drain node1", "cancel drain node2"], _cluster.Asked);
        await ErrorAsync(HttpMethod.Get, "drain?node=node9", HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task What_can_not_be_done_is_an_error_with_its_reason()
    {
        _cluster.Failure = new KeyNotFoundException("no node9");
        Assert.Equal("no node9", await ErrorAsync(HttpMethod.Delete, "nodes/node9", HttpStatusCode.NotFound));
        _cluster.Failure = new InvalidOperationException("a change is under way");
        Assert.Equal("a change is under way", await ErrorAsync(HttpMethod.Post, "leave", HttpStatusCode.Conflict));
        _cluster.HasQuorum = false;
        await ErrorAsync(HttpMethod.Post, "election", HttpStatusCode.ServiceUnavailable);
    }

    [Fact]
    public async Task A_value_is_put_read_and_deleted_as_it_is()
    {
        byte[] value = [0, 255, 13, 10, .. Encoding.UTF8.GetBytes("ö")];
        foreach (var key in (string[])["rate_limit_192.168.1.100", "tenants/acme%2Flimits", "a%20b%3F%25"])
        {
            await ErrorAsync(HttpMethod.Get, $"state/{key}", HttpStatusCode.NotFound);
            var put = await SendAsync(HttpMethod.Put, $"state/{key}?ttl=90s", value);
            Assert.Equal(HttpStatusCode.OK, put.StatusCode);
            foreach (var read in (string[])["", "?read=local", "?read=leader", "?read=linearizable"])
            {
                var got = await SendAsync(HttpMethod.Get, $"state/{key}{read}");
                Assert.Equal(value, await got.Content.ReadAsByteArrayAsync(Token));
                Assert.Equal(put.Headers.ETag, got.Headers.ETag);
            }

            Assert.NotNull(await _store.Store.GetAsync(Uri.UnescapeDataString(key), token: Token));
            Assert.True((await JsonAsync(HttpMethod.Delete, $"state/{key}")).GetProperty("deleted").GetBoolean());
            await ErrorAsync(HttpMethod.Delete, $"state/{key}", HttpStatusCode.NotFound);
        }

        await SendAsync(HttpMethod.Put, "state/k?ttl=90s", value);
        _store.ClusterTime += 90_000;
        await ErrorAsync(HttpMethod.Get, "state/k", HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task Conditions_are_etags()
    {
        var created = await SendAsync(HttpMethod.Put, "state/k", "1"u8.ToArray(), request => request.Headers.IfNoneMatch.Add(EntityTagHeaderValue.Any));
        Assert.Equal(HttpStatusCode.OK, created.StatusCode);
        var again = await SendAsync(HttpMethod.Put, "state/k", "2"u8.ToArray(), request => request.Headers.IfNoneMatch.Add(EntityTagHeaderValue.Any));
        Assert.Equal((HttpStatusCode.PreconditionFailed, created.Headers.ETag), (again.StatusCode, again.Headers.ETag));
        var changed = await SendAsync(HttpMethod.Put, "state/k", "2"u8.ToArray(), request => request.Headers.IfMatch.Add(created.Headers.ETag!));
        Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
        var late = await SendAsync(HttpMethod.Delete, "state/k", change: request => request.Headers.IfMatch.Add(created.Headers.ETag!));
        Assert.Equal(HttpStatusCode.PreconditionFailed, late.StatusCode);
        var deleted = await SendAsync(HttpMethod.Delete, "state/k", change: request => request.Headers.IfMatch.Add(changed.Headers.ETag!));
        Assert.Equal(HttpStatusCode.OK, deleted.StatusCode);
        var odd = await SendAsync(HttpMethod.Put, "state/k", [], request => request.Headers.TryAddWithoutValidation("If-Match", "\"x\""));
        Assert.Equal(HttpStatusCode.BadRequest, odd.StatusCode);
    }

    [Fact]
    public async Task Keys_are_listed_by_prefix_and_page()
    {
        foreach (var key in (string[])["a/1", "a/2", "a/3", "b"])
        {
            await SendAsync(HttpMethod.Put, $"state/{key}", "v"u8.ToArray());
        }

        var first = await JsonAsync(HttpMethod.Get, "state?prefix=a/&limit=2");
        Assert.Equal(["a/1", "a/2"], first.GetProperty("keys").EnumerateArray().Select(entry => entry.GetProperty("key").GetString()));
        var second = await JsonAsync(HttpMethod.Get, $"state?prefix=a/&limit=2&after={first.GetProperty("next").GetString()}");
        Assert.Equal(["a/3"], second.GetProperty("keys").EnumerateArray().Select(entry => entry.GetProperty("key").GetString()));
        Assert.Equal(JsonValueKind.Null, second.GetProperty("next").ValueKind);
    }

    [Theory]
    [InlineData("GET", "state/k?read=maybe", 0, HttpStatusCode.BadRequest)]
    [InlineData("PUT", "state/k?ttl=soon", 1, HttpStatusCode.BadRequest)]
    [InlineData("PUT", "state/k?ttl=0", 1, HttpStatusCode.BadRequest)]
    [InlineData("PUT", "state/", 1, HttpStatusCode.BadRequest)]
    [InlineData("PUT", "state/a%07b", 1, HttpStatusCode.BadRequest)]
    [InlineData("PUT", "state/k", (256 << 10) + 1, HttpStatusCode.RequestEntityTooLarge)]
    [InlineData("PUT", "state/k", 256 << 10, HttpStatusCode.OK)]
    [InlineData("GET", "state?limit=1001", 0, HttpStatusCode.BadRequest)]
    public async Task What_breaks_a_limit_is_refused_with_a_reason(string method, string path, int octets, HttpStatusCode expected)
    {
        var response = await SendAsync(new HttpMethod(method), path, octets > 0 ? new byte[octets] : null);

        Assert.Equal(expected, response.StatusCode);
        if (expected != HttpStatusCode.OK)
        {
            using var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token));
            Assert.NotEmpty(json.RootElement.GetProperty("error").GetString()!);
        }
    }

    [Fact]
    public async Task Without_a_quorum_writes_and_fresh_reads_get_503_and_local_reads_an_answer()
    {
        await SendAsync(HttpMethod.Put, "state/k", "v"u8.ToArray());
        foreach (var outcome in (ProposalOutcome[])[ProposalOutcome.Refused, ProposalOutcome.Unknown])
        {
            _store.Outcome = outcome;
            var response = await SendAsync(HttpMethod.Put, "state/k", "w"u8.ToArray());
            Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
            using var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token));
            Assert.Equal(outcome.ToString().ToLowerInvariant(), json.RootElement.GetProperty("outcome").GetString());
        }

        await ErrorAsync(HttpMethod.Get, "state/k?read=linearizable", HttpStatusCode.ServiceUnavailable);
        Assert.Equal("v", await (await SendAsync(HttpMethod.Get, "state/k")).Content.ReadAsStringAsync(Token));
    }

    [Fact]
    public async Task Metrics_have_the_guides_lines_exactly()
    {
        var text = await (await _client.GetAsync(new Uri($"http://{_http.EndPoint}/metrics"), Token)).Content.ReadAsStringAsync(Token);

        foreach (var lines in (string[])
            [
                "# HELP smtp_cluster_nodes_total Total number of nodes in cluster\n# TYPE smtp_cluster_nodes_total gauge\nsmtp_cluster_nodes_total 3\n",
                "# HELP smtp_cluster_healthy_nodes Number of healthy nodes\n# TYPE smtp_cluster_healthy_nodes gauge\nsmtp_cluster_healthy_nodes 3\n",
                "# HELP smtp_cluster_leader_elections_total Total leader elections\n# TYPE smtp_cluster_leader_elections_total counter\nsmtp_cluster_leader_elections_total 2\n",
                "# HELP smtp_cluster_state_replications_total State replication operations\n# TYPE smtp_cluster_state_replications_total counter\nsmtp_cluster_state_replications_total 1523\n",
                "\nsmtp_cluster_node_status{node=\"node3\"} 3\n",
                "\nsmtp_cluster_replication_lag_entries{node=\"node2\"} 5\n",
                "\nsmtp_cluster_round_trip_seconds{node=\"node2\"} 0.08\n",
                "\nsmtp_cluster_frames_total{type=\"heartbeat\",direction=\"received\"} 20\n",
                "\nsmtp_cluster_refused_handshakes_total{reason=\"token\"} 4\n",
            ])
        {
            Assert.Contains(lines, text, StringComparison.Ordinal);
        }

        _cluster.Nodes = [.. _cluster.Nodes.Take(2)];
        text = await (await _client.GetAsync(new Uri($"http://{_http.EndPoint}/metrics"), Token)).Content.ReadAsStringAsync(Token);
        Assert.DoesNotContain("node3", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_that_can_promise_nothing_is_not_ready()
    {
        var ready = new Uri($"http://{_http.EndPoint}/readyz");
        Assert.Equal(HttpStatusCode.OK, (await _client.GetAsync(ready, Token)).StatusCode);
        _cluster.Obstacle = "no quorum";
        var response = await _client.GetAsync(ready, Token);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Contains("no quorum", await response.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_that_stands_alone_is_a_cluster_of_one_that_leads_itself()
    {
        _status.Open(new StandaloneView("lonely", _status, TimeProvider.System));

        var json = await JsonAsync(HttpMethod.Get, "status");
        Assert.Equal((1, 1, "lonely"), (json.GetProperty("total_nodes").GetInt32(), json.GetProperty("healthy_nodes").GetInt32(), json.GetProperty("leader_id").GetString()));
        Assert.Equal("standalone", json.GetProperty("mode").GetString());
        Assert.StartsWith("v", (await JsonAsync(HttpMethod.Get, "nodes/lonely")).GetProperty("metadata").GetProperty("version").GetString(), StringComparison.Ordinal);
        await ErrorAsync(HttpMethod.Post, "election", HttpStatusCode.Conflict);
        await ErrorAsync(HttpMethod.Get, "state/k", HttpStatusCode.ServiceUnavailable);
    }

    private async Task<JsonElement> JsonAsync(HttpMethod method, string path)
    {
        var response = await SendAsync(method, path);
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.True(response.IsSuccessStatusCode, text);
        using var json = JsonDocument.Parse(text);
        return json.RootElement.Clone();
    }

    private async Task<string> ErrorAsync(HttpMethod method, string path, HttpStatusCode expected)
    {
        var response = await SendAsync(method, path);
        Assert.Equal(expected, response.StatusCode);
        using var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token));
        return json.RootElement.GetProperty("error").GetString()!;
    }

    private Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, byte[]? body = null, Action<HttpRequestMessage>? change = null)
    {
        var request = new HttpRequestMessage(method, new Uri($"http://{_http.EndPoint}/api/cluster/{path}"));
        if (body is not null)
        {
            request.Content = new ByteArrayContent(body);
        }

        change?.Invoke(request);
        return _client.SendAsync(request, Token);
    }
}
