using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;

namespace Quorumail.Server.Tests.Http;

public sealed class HttpServerTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_process_is_alive_while_it_recovers_and_ready_only_when_nothing_stands_in_the_way()
    {
        await using var server = await TestServer.StartAsync();
        server.Status.SetPhase("recovering");

        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/healthz")).StatusCode);
        var recovering = await server.GetAsync("/readyz");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, recovering.StatusCode);
        Assert.Equal(["recovering"], await ReasonsAsync(recovering));

        string? obstacle = "too little space";
        server.Status.Open(EmptyQueue(), () => obstacle, () => null);
        server.Status.SetPhase(null);
        var full = await server.GetAsync("/readyz");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, full.StatusCode);
        Assert.Equal(["too little space"], await ReasonsAsync(full));

        obstacle = null;
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/readyz")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/healthz")).StatusCode);
    }

    [Fact]
    public async Task Metrics_have_the_known_names_with_exact_help_and_type_lines_and_no_others_of_the_library()
    {
        await using var server = await TestServer.StartAsync();
        server.Status.Open(EmptyQueue());

        var response = await server.GetAsync("/metrics");
        var text = await response.Content.ReadAsStringAsync(Token);

        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", response.Content.Headers.ContentType?.ToString());
        foreach (var (name, type) in ((string, string)[])
            [
                ("smtp_uptime_seconds", "gauge"),
                ("smtp_connections_total", "counter"),
                ("smtp_connections_active", "gauge"),
                ("smtp_messages_received_total", "counter"),
                ("smtp_messages_rejected_total", "counter"),
                ("smtp_auth_successes_total", "counter"),
                ("smtp_auth_failures_total", "counter"),
                ("smtp_auth_attempts_total", "counter"),
                ("smtp_errors_total", "counter"),
                ("smtp_max_connections", "gauge"),
                ("smtp_processing_duration_seconds", "histogram"),
                ("smtp_rate_limit_hits_total", "counter"),
                ("smtp_queue_size", "gauge"),
                ("smtp_messages_sent_total", "counter"),
                ("process_resident_memory_bytes", "gauge"),
                ("process_cpu_seconds_total", "counter"),
            ])
        {
            Assert.Contains($"# TYPE {name} {type}\n", text, StringComparison.Ordinal);
            Assert.Contains($"# HELP {name} ", text, StringComparison.Ordinal);
        }

        Assert.Contains("smtp_messages_sent_total{status=\"delivered\"} ", text, StringComparison.Ordinal);
        Assert.Contains("\nsmtp_queue_size 6\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("dotnet_", text, StringComparison.Ordinal);
        Assert.DoesNotContain("prometheus_net_", text, StringComparison.Ordinal);
        Assert.DoesNotContain("system_runtime", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_operators_page_names_every_metric()
    {
        await using var server = await TestServer.StartAsync();
        server.Status.Open(EmptyQueue());
        var text = await (await server.GetAsync("/metrics")).Content.ReadAsStringAsync(Token);
        var page = await File.ReadAllTextAsync(Configuration.ConfigurationPageTests.PathOf("operations.md"), Token);

        var names = text.Split('\n').Where(line => line.StartsWith("# TYPE ", StringComparison.Ordinal)).Select(line => line.Split(' ')[2]).ToArray();
        Assert.NotEmpty(names);
        Assert.DoesNotContain(names, name => !page.Contains($"`{name}", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("/api/queue")]
    [InlineData("/api/queue/suspects")]
    [InlineData("/api/stats")]
    [InlineData("/metrics")]
    public async Task With_a_token_nothing_but_health_is_shown_to_whoever_lacks_it(string path)
    {
        await using var server = await TestServer.StartAsync(new HttpOptions { Port = 0, Token = "0123456789abcdef" });
        server.Status.Open(EmptyQueue());

        Assert.Equal(HttpStatusCode.Unauthorized, (await server.GetAsync(path)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.GetAsync(path, token: "0123456789abcdeg")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.GetAsync(path, token: "0123456789abcde")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync(path, token: "0123456789abcdef")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/healthz")).StatusCode);
    }

    [Theory]
    [InlineData("localhost", HttpStatusCode.OK)]
    [InlineData("127.0.0.1:8080", HttpStatusCode.OK)]
    [InlineData("[::1]:8080", HttpStatusCode.OK)]
    [InlineData("rebound.example", HttpStatusCode.Forbidden)]
    [InlineData("127.0.0.1.rebound.example", HttpStatusCode.Forbidden)]
    public async Task Without_a_token_a_name_that_is_not_local_is_refused(string host, HttpStatusCode expected)
    {
        await using var server = await TestServer.StartAsync();
        server.Status.Open(EmptyQueue());

        Assert.Equal(expected, (await server.GetAsync("/api/queue", request => request.Headers.Host = host)).StatusCode);
    }

    [Fact]
    public async Task A_foreign_web_site_is_refused()
    {
        await using var server = await TestServer.StartAsync();
        server.Status.Open(EmptyQueue());

        var refused = await server.GetAsync("/api/queue", request => request.Headers.Add("Origin", "http://evil.example"));
        var own = await server.GetAsync("/api/queue", request => request.Headers.Add("Origin", server.Address.GetLeftPart(UriPartial.Authority)));

        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        Assert.Contains("\"error\"", await refused.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, own.StatusCode);
    }

    [Fact]
    public async Task The_health_listener_serves_health_and_metrics_only()
    {
        await using var server = await TestServer.StartAsync(new HttpOptions { Port = 0, HealthBind = "127.0.0.1:0", Token = "0123456789abcdef" });
        server.Status.Open(EmptyQueue());

        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/healthz", health: true)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/metrics", health: true)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.GetAsync("/api/queue", token: "0123456789abcdef", health: true)).StatusCode);
    }

    [Fact]
    public async Task Administration_may_have_the_health_listeners_port_at_another_address()
    {
        await using var server = await TestServer.StartAsync(new HttpOptions { Port = 0 });
        server.Status.Open(EmptyQueue());
        await using var other = await TestServer.StartAsync(new HttpOptions
        {
            BindAddress = IPAddress.Parse("127.0.0.2"),
            Port = server.Address.Port,
            HealthBind = $"127.0.0.3:{server.Address.Port}",
        });
        other.Status.Open(EmptyQueue());

        Assert.Equal(HttpStatusCode.OK, (await other.GetAsync("/api/queue")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await other.GetAsync("/api/queue", health: true)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await other.GetAsync("/healthz", health: true)).StatusCode);
    }

    [Fact]
    public async Task Suspects_are_told_with_reason_recipient_and_attempt()
    {
        await using var server = await TestServer.StartAsync();
        var id = QueueId.Create(1_700_000_000_000, 7);
        server.Status.Open(EmptyQueue() with
        {
            Administration = QueueAdministration.Empty with
            {
                Suspects = (after, limit) => (after, limit) == (-1, 6)
                    ? [new ListedSuspect(1, new Suspect(id, "bob@example.org", 3, SuspectReason.NoReplyAfterDot, 1_700_000_000_000, "detail"))]
                    : [],
            },
        });

        using var json = JsonDocument.Parse(await (await server.GetAsync("/api/queue/suspects?limit=5")).Content.ReadAsStringAsync(Token));
        var suspect = json.RootElement.GetProperty("suspects")[0];

        Assert.Equal(id.ToString(), suspect.GetProperty("id").GetString());
        Assert.Equal("bob@example.org", suspect.GetProperty("recipient").GetString());
        Assert.Equal(3, suspect.GetProperty("attempt").GetInt32());
        Assert.Equal("no-reply-after-dot", suspect.GetProperty("reason").GetString());
    }

    [Theory]
    [InlineData("/api/queue?limit=0", HttpStatusCode.BadRequest)]
    [InlineData("/api/queue?limit=10001", HttpStatusCode.BadRequest)]
    [InlineData("/api/queue?limit=x", HttpStatusCode.BadRequest)]
    [InlineData("/api/nothing", HttpStatusCode.NotFound)]
    [InlineData("/api/x.y", HttpStatusCode.NotFound)]
    [InlineData("/favicon.ico", HttpStatusCode.NotFound)]
    public async Task Errors_are_json(string path, HttpStatusCode expected)
    {
        await using var server = await TestServer.StartAsync();
        server.Status.Open(EmptyQueue());

        var response = await server.GetAsync(path);

        Assert.Equal(expected, response.StatusCode);
        using var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token));
        Assert.NotEmpty(json.RootElement.GetProperty("error").GetString()!);
    }

    [Fact]
    public async Task A_defect_is_an_error_with_a_body_too()
    {
        await using var server = await TestServer.StartAsync();
        server.Status.Open(EmptyQueue() with { Limits = () => throw new InvalidOperationException("a defect") });

        var response = await server.GetAsync("/api/limits");

        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        using var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token));
        Assert.Contains("log", json.RootElement.GetProperty("error").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("POST", "/api/queue/hold?all=true", "text/plain", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("DELETE", "/api/queue?all=true", "application/x-www-form-urlencoded", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("POST", "/api/cluster/election", null, HttpStatusCode.UnsupportedMediaType)]
    [InlineData("POST", "/api/queue/hold?all=true", "application/json", HttpStatusCode.ServiceUnavailable)]
    [InlineData("PUT", "/api/cluster/state/k", "text/plain", HttpStatusCode.ServiceUnavailable)]
    public async Task A_body_that_is_not_json_is_refused_where_it_is_not_the_value_itself(string method, string path, string? type, HttpStatusCode expected)
    {
        await using var server = await TestServer.StartAsync();
        server.Status.Open(EmptyQueue());

        var response = await server.GetAsync(path, request =>
        {
            request.Method = new HttpMethod(method);
            request.Content = new ByteArrayContent("{}"u8.ToArray());
            request.Content.Headers.ContentType = type is null ? null : new MediaTypeHeaderValue(type);
        });

        Assert.Equal(expected, response.StatusCode);
    }

    [Fact]
    public async Task The_interfaces_description_can_be_read_without_the_token_but_not_from_other_web_sites()
    {
        await using var server = await TestServer.StartAsync(new HttpOptions { Port = 0, Token = "0123456789abcdef" });

        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/api")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/api/openapi.json")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.GetAsync("/api/limits")).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await server.GetAsync("/api", request => request.Headers.Add("Origin", "http://evil.example"))).StatusCode);
    }

    [Fact]
    public async Task A_weaker_promise_is_shown_with_the_readiness_and_the_states_add_up()
    {
        await using var server = await TestServer.StartAsync();
        server.Status.Open(EmptyQueue() with { Counts = () => new QueueCounts(1, 2, 3, 4) { Held = 5 }, Durability = () => (1, 2) });
        server.Status.SetPhase(null);

        using var ready = JsonDocument.Parse(await (await server.GetAsync("/readyz")).Content.ReadAsStringAsync(Token));
        Assert.StartsWith("250 means 1 disk, fewer than a majority (2)", ready.RootElement.GetProperty("weakness").GetString(), StringComparison.Ordinal);
        server.Status.Open(EmptyQueue() with { Counts = () => new QueueCounts(1, 2, 3, 4) { Held = 5 }, Durability = () => (2, 2) });
        using var full = JsonDocument.Parse(await (await server.GetAsync("/readyz")).Content.ReadAsStringAsync(Token));
        Assert.Equal(JsonValueKind.Null, full.RootElement.GetProperty("weakness").ValueKind);

        var metrics = await (await server.GetAsync("/metrics")).Content.ReadAsStringAsync(Token);
        Assert.Contains("\nsmtp_queue_size 11\n", metrics, StringComparison.Ordinal);
        Assert.Contains("\nsmtp_messages_queued{state=\"held\"} 5\n", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Before_the_queue_is_open_questions_about_it_get_503()
    {
        await using var server = await TestServer.StartAsync();

        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.GetAsync("/api/queue")).StatusCode);
    }

    private static QueueView EmptyQueue() => new(() => new QueueCounts(1, 2, 3, 4), () => 5, () => 5);

    private static async Task<string[]> ReasonsAsync(HttpResponseMessage response)
    {
        using var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token));
        return [.. json.RootElement.GetProperty("reasons").EnumerateArray().Select(reason => reason.GetString()!)];
    }

    private sealed class TestServer(ServerStatus status, HttpServer http) : IAsyncDisposable
    {
        private readonly HttpClient _client = new();

        public ServerStatus Status => status;

        public Uri Address => new($"http://{http.EndPoint}/");

        public static async Task<TestServer> StartAsync(HttpOptions? options = null)
        {
            var status = new ServerStatus(TimeProvider.System);
            return new TestServer(status, await HttpServer.StartAsync(options ?? new HttpOptions { Port = 0 }, status, NullLoggerFactory.Instance, Token));
        }

        public Task<HttpResponseMessage> GetAsync(string path, Action<HttpRequestMessage>? change = null, string? token = null, bool health = false)
        {
            var request = new HttpRequestMessage(HttpMethod.Get, new Uri(health ? new Uri($"http://{http.HealthEndPoint}/") : Address, path));
            if (token is not null)
            {
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            }

            change?.Invoke(request);
            return _client.SendAsync(request, Token);
        }

        public async ValueTask DisposeAsync()
        {
            _client.Dispose();
            await http.DisposeAsync();
        }
    }
}
