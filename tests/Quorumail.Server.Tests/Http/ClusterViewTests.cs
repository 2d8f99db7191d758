using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster;
using Quorumail.Server.Configuration;
using Quorumail.Server.Hosting;
using Quorumail.Server.Http;

namespace Quorumail.Server.Tests.Http;

/// <summary>The administration interface over a real node.</summary>
public sealed class ClusterViewTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_real_node_is_shown_and_keeps_what_is_put()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("quorumail-");
        try
        {
            var options = new QuorumailOptions
            {
                Cluster = new ClusterOptions { Enabled = true, NodeId = "node1", BindAddress = IPAddress.Loopback, BindPort = 0 },
                Storage = new StorageOptions { Path = directory.FullName },
            };
            await using var cluster = new ClusterManager(ClusterSetup.Create(options, TimeProvider.System, NullLogger.Instance));
            var status = new ServerStatus(TimeProvider.System);
            status.Open(new ManagedClusterView(cluster));
            await using var http = await HttpServer.StartAsync(new HttpOptions { Port = 0 }, status, NullLoggerFactory.Instance, Token);
            using var client = new HttpClient { BaseAddress = new Uri($"http://{http.EndPoint}/api/cluster/") };

            Assert.Equal("unhealthy", (await JsonAsync(client, "status")).GetProperty("local_node").GetProperty("status").GetString());
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.GetAsync(new Uri("state/k", UriKind.Relative), Token)).StatusCode);
            await cluster.StartAsync(Token);
            await cluster.WaitUntilReadyAsync(Token);

            using var value = new ByteArrayContent(Encoding.UTF8.GetBytes("45"));
            Assert.Equal(HttpStatusCode.OK, (await client.PutAsync(new Uri("state/k", UriKind.Relative), value, Token)).StatusCode);
            Assert.Equal("45", await client.GetStringAsync(new Uri("state/k?read=linearizable", UriKind.Relative), Token));
            var shown = await JsonAsync(client, "status");
            Assert.Equal(("node1", "leader", "healthy"), (
                shown.GetProperty("leader_id").GetString(),
                shown.GetProperty("local_node").GetProperty("role").GetString(),
                shown.GetProperty("local_node").GetProperty("status").GetString()));
            Assert.True(shown.GetProperty("commit_index").GetInt64() > 0);
            var node = await JsonAsync(client, "nodes/node1");
            Assert.Equal(cluster.EndPoint!.Port.ToString(CultureInfo.InvariantCulture), node.GetProperty("port").GetRawText());
            Assert.Equal("started", (await JsonAsync(client, "events")).GetProperty("events").EnumerateArray()
                .Select(happened => happened.GetProperty("kind").GetString()).First(kind => kind == "started"));
            Assert.Equal(0, (await JsonAsync(client, "replication/stats")).GetProperty("pending_updates").GetInt64());
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static async Task<JsonElement> JsonAsync(HttpClient client, string path)
    {
        using var json = JsonDocument.Parse(await client.GetStringAsync(new Uri(path, UriKind.Relative), Token));
        return json.RootElement.Clone();
    }
}
