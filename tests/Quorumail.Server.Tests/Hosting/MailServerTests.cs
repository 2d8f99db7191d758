using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Server.Configuration;
using Quorumail.Server.Hosting;

namespace Quorumail.Server.Tests.Hosting;

/// <summary>All parts together in this process: they start in order, say why if they can't, and stop in order.</summary>
public sealed class MailServerTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("quorumail-");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Once_started_it_is_ready_and_once_stopped_it_can_be_started_again_on_the_same_data()
    {
        for (var life = 0; life < 2; life++)
        {
            await using var server = New();
            await server.StartAsync(Token);

            using var http = new HttpClient();
            var health = new Uri($"http://{server.HttpEndPoint}/readyz");
            var port = server.SmtpEndPoints[0].EndPoint.Port;
            Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(health, Token)).StatusCode);
            Assert.StartsWith("220 ", await GreetingAsync(port), StringComparison.Ordinal);

            await server.StopAsync();

            await Assert.ThrowsAnyAsync<SocketException>(() => GreetingAsync(port));
            await Assert.ThrowsAsync<HttpRequestException>(() => http.GetAsync(health, Token));
        }
    }

    [Fact]
    public async Task An_idle_session_is_told_421_when_the_server_stops_and_does_not_hold_it_up()
    {
        await using var server = New();
        await server.StartAsync(Token);
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, server.SmtpEndPoints[0].EndPoint.Port, Token);
        using var reader = new StreamReader(client.GetStream());
        await reader.ReadLineAsync(Token);

        var stopping = server.StopAsync();

        Assert.StartsWith("421 ", await reader.ReadLineAsync(Token), StringComparison.Ordinal);
        await stopping.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    [Fact]
    public async Task A_taken_port_is_named_with_its_key()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        var port = ((IPEndPoint)other.LocalEndpoint).Port;

        await using var smtp = New(server => server with { Host = IPAddress.Loopback, Port = port });
        var noSmtp = await Assert.ThrowsAsync<StartException>(() => smtp.StartAsync(Token));
        Assert.Equal($"127.0.0.1:{port} ([server] port) is in use by another program: stop it, or choose another port", noSmtp.Message);

        await using var http = New(httpPort: port);
        var noHttp = await Assert.ThrowsAsync<StartException>(() => http.StartAsync(Token));
        Assert.Equal($"127.0.0.1:{port} ([http] port) is in use by another program: stop it, or choose another port", noHttp.Message);
    }

    [Fact]
    public async Task Data_that_another_server_uses_are_left_alone()
    {
        await using var first = New();
        await first.StartAsync(Token);

        await using var second = New();
        var refused = await Assert.ThrowsAsync<StartException>(() => second.StartAsync(Token));

        Assert.Contains("is in use by another running server", refused.Message, StringComparison.Ordinal);
        Assert.StartsWith("220 ", await GreetingAsync(first.SmtpEndPoints[0].EndPoint.Port), StringComparison.Ordinal);
        await first.StopAsync();
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private static async Task<string?> GreetingAsync(int port)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port, Token);
        using var reader = new StreamReader(client.GetStream());
        return await reader.ReadLineAsync(Token);
    }

    private MailServer New(Func<ServerOptions, ServerOptions>? change = null, int httpPort = 0)
    {
        var server = new ServerOptions { Host = IPAddress.Loopback, Port = 0, Hostname = "test.example" };
        var options = new QuorumailOptions
        {
            Server = change?.Invoke(server) ?? server,
            Http = new HttpOptions { Port = httpPort },
            Storage = new StorageOptions { Path = Path.Combine(_directory.FullName, "data"), MinFree = 0 },
        };
        return new MailServer(options, NullLoggerFactory.Instance, TimeProvider.System);
    }
}
