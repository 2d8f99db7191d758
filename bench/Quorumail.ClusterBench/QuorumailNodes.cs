using System.Globalization;
using System.Net;

namespace Quorumail.ClusterBench;

/// <summary>Three servers, written to over their HTTP interface.</summary>
internal sealed class QuorumailNodes(string program) : Nodes
{
    private readonly HttpClient _client = new(new SocketsHttpHandler { PooledConnectionIdleTimeout = TimeSpan.FromMinutes(5) })
    {
        DefaultRequestVersion = HttpVersion.Version11,
    };

    private string[] _addresses = [];

    public override string Name => "quorumail, HTTP";

    public override async Task PutAsync(int writer, string key, ReadOnlyMemory<byte> value, CancellationToken token)
    {
        using ReadOnlyMemoryContent content = new(value);
        using var response = await _client.PutAsync(new Uri($"http://{_addresses[writer % Count]}/api/cluster/state/{key}"), content, token);
        response.EnsureSuccessStatusCode();
    }

    public override async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await base.DisposeAsync();
    }

    protected override async Task LaunchAsync()
    {
        var ports = Enumerable.Range(0, Count).Select(_ => FreePort()).ToArray();
        var http = Enumerable.Range(0, Count).Select(_ => FreePort()).ToArray();
        _addresses = [.. http.Select(Local)];
        var peers = string.Join(", ", ports.Select(port => $"\"{Local(port)}\""));
        for (var i = 0; i < Count; i++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"n{i}");
            var file = Path.Combine(Directory, name + ".toml");
            await File.WriteAllTextAsync(file, string.Create(CultureInfo.InvariantCulture, $"""
                [server]
                host = "127.0.0.1"
                port = {FreePort()}
                hostname = "{name}.example"
                [storage]
                path = "{Path.Combine(Directory, name)}"
                [http]
                port = {http[i]}
                [cluster]
                enabled = true
                node_id = "{name}"
                bind_address = "127.0.0.1"
                bind_port = {ports[i]}
                peers = [{peers}]

                """));
            Launch(program, name, ["--config", file]);
        }
    }
}
