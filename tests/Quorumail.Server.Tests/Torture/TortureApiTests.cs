using System.Net;
using System.Text;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture.Cluster;
using Quorumail.Server.Torture.Ledger;

namespace Quorumail.Server.Tests.Torture;

/// <summary>A suspect that is not read makes a listed duplicate look like a broken promise.</summary>
public sealed class TortureApiTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_page_of_the_suspects_is_read_from_the_first_entry_on_and_a_dead_node_is_passed_over()
    {
        using HttpListener listener = new();
        var address = new Uri(FormattableString.Invariant($"http://127.0.0.1:{FreePort.Take()}/"));
        listener.Prefixes.Add(address.ToString());
        listener.Start();
        var serving = ServeAsync(listener, pages: 2);
        using TortureApi api = new([new Uri(FormattableString.Invariant($"http://127.0.0.1:{FreePort.Take()}/")), address], token: "secret");

        var suspects = await api.SuspectsAsync(Token);

        Assert.Equal(["/api/queue/suspects?limit=10000", "/api/queue/suspects?limit=10000&after=0"], await serving);
        Assert.Equal([new ListedSuspect("Q0", "r@x", "owner-lost"), new ListedSuspect("Q1", "", "250-unread")], suspects!.OrderBy(each => each.QueueId, StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_cluster_that_does_not_answer_has_no_list_rather_than_an_empty_one()
    {
        using TortureApi api = new([new Uri(FormattableString.Invariant($"http://127.0.0.1:{FreePort.Take()}/"))], token: "");

        Assert.Null(await api.SuspectsAsync(Token));
        Assert.Null(await api.QueuedAsync("torture.example", Token));
        Assert.NotEmpty(api.LastFault);
    }

    private static async Task<List<string>> ServeAsync(HttpListener listener, int pages)
    {
        List<string> asked = [];
        for (var page = 0; page < pages; page++)
        {
            var context = await listener.GetContextAsync();
            Assert.Equal("Bearer secret", context.Request.Headers["Authorization"]);
            asked.Add(context.Request.RawUrl!);
            var body = page == 0
                ? """{"suspects":[{"id":"Q0","recipient":"r@x","reason":"owner-lost"}],"next":0}"""
                : """{"suspects":[{"id":"Q1","recipient":null,"reason":"250-unread"}],"next":null}""";
            await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(body), Token);
            context.Response.Close();
        }

        return asked;
    }
}
