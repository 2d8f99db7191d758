using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Quorumail.Cluster.Log;
using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Http;
using Quorumail.Server.Queue;

namespace Quorumail.Server.Tests.Http;

/// <summary>docs/openapi.json against what is served, both ways.</summary>
public sealed class ApiDocumentTests : IAsyncLifetime
{
    private readonly JsonElement _document = JsonElement.Parse(ApiDocument.Json.Span);
    private readonly ScriptedCluster _cluster = new();
    private readonly HttpClient _client = new();
    private ImmediateStore _store = null!;
    private QueueServer _server = null!;
    private QueueId _id;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _server = await QueueServer.StartAsync();
        _store = await ImmediateStore.OpenAsync(Token);
        _cluster.Store = _store.Store;
        _server.Status.Open(_cluster);
        _id = await _server.EnqueueAsync("ann@a.example", "bob@b.example", "cat@c.example");
        await _server.AttemptAsync(_id, 0, RecipientOutcome.Delivered, "250 ok");
        await _server.AttemptAsync(_id, 1, RecipientOutcome.InDoubt, "no reply");
        var gone = await _server.EnqueueAsync("", "bob@b.example");
        await _server.DoAsync(HttpMethod.Delete, $"/api/queue/{gone}?reason=spam");
        await _server.DoAsync(HttpMethod.Post, "/api/queue/suspend?sender=ann@a.example&reason=asked&ttl=1h");
        await _server.LimitAsync(
            new DefineLimitCommand(new LimitDefinition("rate", LimitKind.Rate, 5, 60_000, LimitPolicy.Closed)),
            new DefineLimitCommand(new LimitDefinition("slots", LimitKind.Concurrency, 5, 60_000, LimitPolicy.Share)),
            new WantSlotCommand("slots", "b.example", "node1"));
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _server.DisposeAsync();
        await _store.DisposeAsync();
    }

    [Fact]
    public void Every_route_is_described_and_nothing_else()
    {
        var described = from path in _document.GetProperty("paths").EnumerateObject()
                        from operation in path.Value.EnumerateObject()
                        select $"{operation.Name.ToUpperInvariant()} {path.Name}";

        Assert.Equal(_server.Routes.Select(route => $"{route.Method} {route.Path}").Order(StringComparer.Ordinal), described.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Every_route_answers_as_it_is_described()
    {
        var routes = _server.Routes.Select(route => $"{route.Method} {route.Path}").ToHashSet();
        foreach (var (route, path) in Calls())
        {
            Assert.Equal((path, HttpStatusCode.OK), (path, await CallAsync(route, path)));
            routes.Remove(route);
        }

        Assert.Empty(routes);
    }

    [Fact]
    public async Task Refusals_are_as_they_are_described()
    {
        foreach (var (route, path, status) in ((string, string, int)[])
            [
                ("GET /api/queue", "/api/queue?limit=0", 400),
                ("DELETE /api/queue", "/api/queue", 400),
                ("GET /api/queue/{id}", "/api/queue/0000000000000000", 404),
                ("GET /api/queue/{id}/history", "/api/queue/0000000000000000/history", 404),
                ("POST /api/queue/{id}/hold", "/api/queue/0000000000000000/hold", 404),
                ("POST /api/queue/hold", "/api/queue/hold?sendr=a", 400),
                ("POST /api/queue/suspend", "/api/queue/suspend", 400),
                ("POST /api/queue/resume", "/api/queue/resume?domain=none.example", 404),
                ("GET /api/queue/suspects", "/api/queue/suspects?after=x", 400),
                ("GET /api/cluster/nodes/{id}", "/api/cluster/nodes/none", 404),
                ("GET /api/cluster/events", "/api/cluster/events?limit=0", 400),
                ("POST /api/cluster/join", "/api/cluster/join", 400),
                ("GET /api/cluster/state/{key}", "/api/cluster/state/none", 404),
                ("GET /api/cluster/state", "/api/cluster/state?read=fresh", 400),
                ("PUT /api/cluster/state/{key}", "/api/cluster/state/k?ttl=never", 400),
                ("DELETE /api/cluster/state/{key}", "/api/cluster/state/none", 404),
            ])
        {
            Assert.Equal((path, status), (path, (int)await CallAsync(route, path)));
        }

        _server.Open(QueueAdministration.Of(_server.Queue) with
        {
            Propose = (_, _) => ValueTask.FromResult(new QueueProposal(ProposalOutcome.Unknown, default, "no leader")),
        });
        _server.Status.SetPhase("stopping");
        foreach (var (route, path) in ((string, string)[])
            [
                ("DELETE /api/queue", "/api/queue?all=true"),
                ("POST /api/queue/{id}/hold", $"/api/queue/{_id}/hold"),
                ("POST /api/queue/suspend", "/api/queue/suspend?domain=b.example"),
                ("GET /readyz", "/readyz"),
            ])
        {
            Assert.Equal((path, HttpStatusCode.ServiceUnavailable), (path, await CallAsync(route, path)));
        }
    }

    [Fact]
    public async Task Every_described_parameter_of_the_queue_is_known()
    {
        var schema = new JsonSchema(_document);
        foreach (var path in _document.GetProperty("paths").EnumerateObject().Where(p => p.Name.StartsWith("/api/queue", StringComparison.Ordinal)))
        {
            foreach (var operation in path.Value.EnumerateObject().Where(o => o.Value.TryGetProperty("parameters", out _)))
            {
                foreach (var parameter in operation.Value.GetProperty("parameters").EnumerateArray().Select(schema.Resolve).Where(p => p.GetProperty("in").ValueEquals("query")))
                {
                    var name = parameter.GetProperty("name").GetString()!;
                    var value = name switch
                    {
                        "state" or "status" => "processing",
                        "age" or "ttl" => "10h",
                        "limit" or "offset" => "1",
                        "all" => "true",
                        "after" => path.Name.EndsWith("suspects", StringComparison.Ordinal) ? "1" : _id.ToString(),
                        _ => "unknown.example",
                    };
                    var (_, body) = await _server.SendAsync(
                        new HttpMethod(operation.Name.ToUpperInvariant()), $"{path.Name.Replace("{id}", "0000000000000000", StringComparison.Ordinal)}?{name}={value}");
                    Assert.DoesNotContain("is not known", body.ToString(), StringComparison.Ordinal);
                }
            }
        }
    }

    [Fact]
    public async Task The_page_shows_every_path_and_loads_nothing_from_anywhere()
    {
        using var response = await _client.GetAsync(new Uri($"http://127.0.0.1:{_server.Port}/api"), Token);
        var page = await response.Content.ReadAsStringAsync(Token);

        Assert.Equal("text/html; charset=utf-8", response.Content.Headers.ContentType?.ToString());
        Assert.StartsWith("default-src 'none'; style-src 'sha256-", Assert.Single(response.Headers.GetValues("Content-Security-Policy")), StringComparison.Ordinal);
        Assert.All(_document.GetProperty("paths").EnumerateObject(), path => Assert.Contains($"<code>{path.Name}</code>", page, StringComparison.Ordinal));
        Assert.DoesNotContain("<script", page, StringComparison.Ordinal);
        Assert.DoesNotContain("src=", page, StringComparison.Ordinal);
        Assert.DoesNotContain("://", page, StringComparison.Ordinal);
    }

    private IEnumerable<(string Route, string Path)> Calls()
    {
        foreach (var plain in (string[])
            [
                "/healthz", "/livez", "/readyz", "/ready", "/health", "/metrics", "/api", "/api/openapi.json", "/api/stats",
                "/api/queue", "/api/queue/domains", "/api/queue/suspects", "/api/queue/suspensions", "/api/queue/removals",
                "/api/limits", "/api/cluster/status", "/api/cluster/nodes", "/api/cluster/replication/stats", "/api/cluster/events",
            ])
        {
            yield return ("GET " + plain, plain);
        }

        yield return ("GET /api/queue/suspects", "/api/queue/suspects?limit=1");
        yield return ("GET /api/queue/{id}", $"/api/queue/{_id}");
        yield return ("GET /api/queue/{id}/history", $"/api/queue/{_id}/history");
        foreach (var action in (string[])["hold", "release", "requeue", "retry"])
        {
            yield return ("POST /api/queue/" + action, $"/api/queue/{action}?all=true");
            yield return ("POST /api/queue/{id}/" + action, $"/api/queue/{_id}/{action}");
        }

        yield return ("POST /api/queue/suspend", "/api/queue/suspend?domain=b.example");
        yield return ("POST /api/queue/resume", "/api/queue/resume?domain=b.example");
        yield return ("DELETE /api/queue/{id}", $"/api/queue/{_id}");
        yield return ("DELETE /api/queue", "/api/queue?domain=b.example&reason=why");
        yield return ("GET /api/cluster/nodes/{id}", "/api/cluster/nodes/node1");
        yield return ("DELETE /api/cluster/nodes/{id}", "/api/cluster/nodes/node3");
        yield return ("POST /api/cluster/election", "/api/cluster/election");
        yield return ("POST /api/cluster/transfer", "/api/cluster/transfer?target=node2");
        yield return ("POST /api/cluster/join", "/api/cluster/join?address=node4:9000");
        yield return ("POST /api/cluster/leave", "/api/cluster/leave");
        yield return ("GET /api/cluster/drain", "/api/cluster/drain");
        yield return ("POST /api/cluster/drain", "/api/cluster/drain?node=node2");
        yield return ("DELETE /api/cluster/drain", "/api/cluster/drain");
        yield return ("PUT /api/cluster/state/{key}", "/api/cluster/state/a/b?ttl=1h");
        yield return ("GET /api/cluster/state/{key}", "/api/cluster/state/a/b");
        yield return ("GET /api/cluster/state", "/api/cluster/state?prefix=a");
        yield return ("DELETE /api/cluster/state/{key}", "/api/cluster/state/a/b");
    }

    /// <summary>Sends a request and compares the answer with its description.</summary>
    private async Task<HttpStatusCode> CallAsync(string route, string path)
    {
        var (method, pattern) = (route.Split(' ')[0], route.Split(' ')[1]);
        var schema = new JsonSchema(_document);
        var responses = _document.GetProperty("paths").GetProperty(pattern).GetProperty(method.ToLowerInvariant()).GetProperty("responses");
        using var request = new HttpRequestMessage(new HttpMethod(method), new Uri($"http://127.0.0.1:{_server.Port}{path}"));
        if (request.Method == HttpMethod.Put)
        {
            request.Content = new ByteArrayContent("value"u8.ToArray());
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        }

        using var response = await _client.SendAsync(request, Token);
        var body = await response.Content.ReadAsByteArrayAsync(Token);
        Assert.True(
            responses.TryGetProperty(((int)response.StatusCode).ToString(System.Globalization.CultureInfo.InvariantCulture), out var described),
            $"{method} {path}: {response.StatusCode} is not described. {Encoding.UTF8.GetString(body)}");
        var type = response.Content.Headers.ContentType!.MediaType!;
        Assert.True(schema.Resolve(described).GetProperty("content").TryGetProperty(type, out var content), $"{method} {path}: {type} is not described");
        if (type == "application/json")
        {
            Assert.Equal("", string.Join('\n', schema.Faults(content.GetProperty("schema"), JsonElement.Parse(body), $"{method} {path}: answer")));
        }

        return response.StatusCode;
    }
}
