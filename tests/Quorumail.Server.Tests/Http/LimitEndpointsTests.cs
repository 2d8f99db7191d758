using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Prometheus;
using Quorumail.Core.Limits;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Tests.Http;

/// <summary><c>/api/limits</c> and the limits' metrics, of a real queue.</summary>
public sealed class LimitEndpointsTests : IAsyncLifetime
{
    private const long Day = 24 * 60 * 60 * 1000;

    private QueueServer _server = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _server = await QueueServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task Limits_are_shown_with_what_is_granted_the_fullest_key_and_what_nodes_have_reserved()
    {
        Assert.Empty((await _server.GetAsync("/api/limits")).GetProperty("limits").EnumerateArray());
        await _server.LimitAsync(
            new LimitNodesCommand(["n1", "n2"]),
            new DefineLimitCommand(new LimitDefinition("shared", LimitKind.Rate, 100, Day, LimitPolicy.Share)),
            new DefineLimitCommand(new LimitDefinition("slots", LimitKind.Concurrency, 3, 30_500, LimitPolicy.Closed)),
            new WantTokensCommand("shared", "ann", "n1", 7),
            new WantTokensCommand("shared", "bob", "n1", 5),
            new WantTokensCommand("shared", "bob", "n2", 4),
            new WantSlotCommand("slots", "mx.example", "n1"));

        var before = _server.Queue.ClusterTime;
        var limits = (await _server.GetAsync("/api/limits")).GetProperty("limits");

        var rate = limits[0];
        Assert.Equal(("shared", "rate", 100, 86_400.0, "share", 50), Definition(rate));
        Assert.Equal((2, 16, "bob", 9), Use(rate));
        Assert.InRange(rate.GetProperty("window_ends_at").GetDateTimeOffset().ToUnixTimeMilliseconds(), before + 1, before + Day + 60_000);
        Assert.Equal(0, rate.GetProperty("window_ends_at").GetDateTimeOffset().ToUnixTimeMilliseconds() % Day);
        var slots = limits[1];
        Assert.Equal(("slots", "concurrency", 3, 30.5, "closed", 0), Definition(slots));
        Assert.Equal((1, 1, "mx.example", 1), Use(slots));
        Assert.Equal(JsonValueKind.Null, slots.GetProperty("window_ends_at").ValueKind);

        await _server.LimitAsync(new RemoveLimitCommand("shared"));
        Assert.Equal("slots", Assert.Single((await _server.GetAsync("/api/limits")).GetProperty("limits").EnumerateArray()).GetProperty("name").GetString());
    }

    [Fact]
    public async Task A_limit_of_which_nothing_is_granted_has_no_fullest_key()
    {
        await _server.LimitAsync(new DefineLimitCommand(new LimitDefinition("idle", LimitKind.Rate, 5, Day, LimitPolicy.Closed)));

        var idle = (await _server.GetAsync("/api/limits")).GetProperty("limits")[0];

        Assert.Equal((0, 0), (idle.GetProperty("keys").GetInt32(), idle.GetProperty("granted").GetInt32()));
        Assert.Equal(JsonValueKind.Null, idle.GetProperty("fullest").ValueKind);
    }

    [Fact]
    public async Task Refusals_are_counted_by_limit_where_they_happen()
    {
        var name = $"refusing-{Guid.NewGuid():N}";
        await _server.LimitAsync(new DefineLimitCommand(new LimitDefinition(name, LimitKind.Rate, 1, Day, LimitPolicy.Closed)));
        await using SharedLimits node = new(
            _server.Queue.Limits, _server.Queue.ProposeAsync, () => _server.Queue.ClusterTime, "node1", TimeProvider.System, NullLogger.Instance);
        Assert.Equal(LimitVerdict.Passed, await TakeAsync(node, name));
        Assert.Equal(LimitVerdict.Refused, await TakeAsync(node, name));
        Assert.Equal(LimitVerdict.Refused, await TakeAsync(node, name));

        Assert.Equal(2, (await _server.GetAsync("/api/limits")).GetProperty("limits")[0].GetProperty("refused").GetInt32());
    }

    [Fact]
    public async Task A_scrape_shows_every_limit_from_its_beginning_to_its_end()
    {
        var registry = Prometheus.Metrics.NewCustomRegistry();
        var metrics = new LimitMetrics(_server.Status, registry);
        await _server.LimitAsync(
            new DefineLimitCommand(new LimitDefinition("scraped", LimitKind.Rate, 100, Day, LimitPolicy.Closed)),
            new WantTokensCommand("scraped", "ann", "n1", 7),
            new WantTokensCommand("scraped", "bob", "n1", 5));

        var shown = await ScrapeAsync(registry, metrics);
        Assert.Contains("\nsmtp_limit_capacity{limit=\"scraped\"} 100\n", shown, StringComparison.Ordinal);
        Assert.Contains("\nsmtp_limit_granted{limit=\"scraped\"} 12\n", shown, StringComparison.Ordinal);
        Assert.Contains("\nsmtp_limit_keys{limit=\"scraped\"} 2\n", shown, StringComparison.Ordinal);
        using var client = new HttpClient();
        Assert.Contains(
            "\nsmtp_limit_refused_total{limit=\"scraped\"} 0\n",
            await client.GetStringAsync(new Uri($"http://127.0.0.1:{_server.Port}/metrics"), Token),
            StringComparison.Ordinal);

        await _server.LimitAsync(new RemoveLimitCommand("scraped"));
        Assert.DoesNotContain("scraped", await ScrapeAsync(registry, metrics), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Before_the_queue_is_open_there_is_no_answer_and_with_a_token_none_for_strangers()
    {
        await using var server = await HttpServer.StartAsync(new HttpOptions { Port = 0, Token = "0123456789abcdef" }, new ServerStatus(TimeProvider.System), NullLoggerFactory.Instance, Token);
        using var client = new HttpClient { BaseAddress = new Uri($"http://{server.EndPoint}") };
        Assert.Equal(HttpStatusCode.Unauthorized, (await client.GetAsync(new Uri("/api/limits", UriKind.Relative), Token)).StatusCode);
        client.DefaultRequestHeaders.Authorization = new("Bearer", "0123456789abcdef");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.GetAsync(new Uri("/api/limits", UriKind.Relative), Token)).StatusCode);
    }

    private static (string?, string?, int, double, string?, int) Definition(JsonElement limit) => (
        limit.GetProperty("name").GetString(), limit.GetProperty("kind").GetString(), limit.GetProperty("capacity").GetInt32(),
        limit.GetProperty("period_seconds").GetDouble(), limit.GetProperty("policy").GetString(), limit.GetProperty("reserved").GetInt32());

    private static (int, int, string?, int) Use(JsonElement limit) => (
        limit.GetProperty("keys").GetInt32(), limit.GetProperty("granted").GetInt32(),
        limit.GetProperty("fullest").GetProperty("key").GetString(), limit.GetProperty("fullest").GetProperty("granted").GetInt32());

    private static async Task<string> ScrapeAsync(CollectorRegistry registry, LimitMetrics metrics)
    {
        metrics.Update();
        using var text = new MemoryStream();
        await registry.CollectAndExportAsTextAsync(text, Token);
        return Encoding.UTF8.GetString(text.ToArray());
    }

    private static async Task<LimitVerdict> TakeAsync(SharedLimits node, string limit)
    {
        while (true)
        {
            var verdict = node.TryTake(limit, "k", out _, out var wait);
            if (verdict != LimitVerdict.Wait)
            {
                return verdict;
            }

            await wait!.WaitAsync(Token);
        }
    }
}
