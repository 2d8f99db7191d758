using Quorumail.Core.Limits;
using Quorumail.Server.Tests.Http;

namespace Quorumail.Server.Tests.CommandLine;

/// <summary><c>smtp-server limits</c>, in a process of its own, against a server in this one.</summary>
public sealed class LimitsCommandTests : IAsyncLifetime
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("quorumail-");
    private QueueServer _server = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _server = await QueueServer.StartAsync("0123456789abcdef");

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _directory.Delete(recursive: true);
    }

    [Fact]
    public async Task Limits_are_shown_as_a_table_and_as_json()
    {
        Assert.Equal((0, "There are no limits that all nodes share: [limits] in the configuration makes them.\n", ""), await RunAsync(""));
        await _server.LimitAsync(
            new LimitNodesCommand(["n1"]),
            new DefineLimitCommand(new LimitDefinition("per-user", LimitKind.Rate, 1000, 7 * 86_400_000, LimitPolicy.Share)),
            new DefineLimitCommand(new LimitDefinition("slots", LimitKind.Concurrency, 20, 30_000, LimitPolicy.Closed)),
            new WantTokensCommand("per-user", "ann\u001b[2J", "n1", 30));

        var (code, output, error) = await RunAsync("");

        Assert.Equal((0, ""), (code, error));
        Assert.Matches(@"per-user +1000 in 7d, 500 of them reserved for nodes +share +1 +30 +ann\?\[2J +30 +\S+ 00:00:00Z +0", output);
        Assert.Matches(@"slots +20 at once +closed +0 +0 +0", output);
        Assert.Contains("\"fullest\": null", (await RunAsync(" --json")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_server_or_with_a_wrong_call_it_says_so()
    {
        Assert.Equal(2, (await RunAsync(" none")).Code);
        var port = _server.Port;
        await _server.DisposeAsync();
        var (code, output, error) = await RunAsync("", port);
        Assert.Equal((3, ""), (code, output));
        Assert.Contains("no server answers", error, StringComparison.Ordinal);
        _server = await QueueServer.StartAsync();
    }

    private Task<(int Code, string Output, string Error)> RunAsync(string arguments, int port = 0) => ServerProgram.RunAsync(
        _directory.FullName, $"limits{arguments} --http-port {(port == 0 ? _server.Port : port)}", "", Token, ("SMTP_HTTP_TOKEN", "0123456789abcdef"));
}
