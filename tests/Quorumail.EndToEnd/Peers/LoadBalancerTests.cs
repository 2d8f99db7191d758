using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Quorumail.EndToEnd.Cluster;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Peers;

/// <summary>Clusters behind the load balancers of deploy/, which hold the guide's configurations.</summary>
public sealed class LoadBalancerTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly CancellationToken _token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Draining_killed_and_minority_nodes_are_taken_out_and_come_back_and_probes_are_no_trouble()
    {
        var port = FreePort.Take();
        string[] hosts = [.. Enumerable.Range(0, 3).Select(ClusterServers.SmtpHost)];
        await using ClusterServers servers = new(3, "", "refuse_grace = \"1s\"", port);
        await servers.StartAllAsync(Limit, _token);
        await using var haproxy = await LoadBalancer.StartAsync("haproxy/haproxy.cfg", hosts, port, _token);
        await using var nginx = await LoadBalancer.StartAsync("nginx/nginx.conf", hosts, port, _token);
        await UntilAsync("node1.example", "node2.example", "node3.example");

        await servers.KillAsync(2);
        await servers.RunAsync(1, _token, "drain", "node1", "--no-wait");
        await UntilAsync("node2.example");

        await servers.KillAsync(0);
        await UntilAsync("");

        await servers.StartAsync(0);
        await servers.StartAsync(2);
        await UntilAsync("node1.example", "node2.example", "node3.example");
        Assert.All(Enumerable.Range(0, 3), i => AssertUntroubled(servers.OutputOf(i)));

        Task UntilAsync(params string[] greeters) => Task.WhenAll(
            haproxy.UntilGreetersAsync(greeters, Limit, () => servers.Outputs, _token),
            nginx.UntilGreetersAsync(greeters, Limit, () => servers.Outputs, _token));
    }

    [Theory]
    [InlineData("haproxy/haproxy-proxy-protocol.cfg")]
    [InlineData("nginx/nginx-proxy-protocol.conf")]
    public async Task The_clients_own_address_is_trusted_limited_logged_and_written_down(string file)
    {
        await using SmtpSink sink = new() { KeepsMessages = true };
        await using var server = await ServerProcess.StartAsync(
            new ServerSettings
            {
                ServerLines = ["proxy_from = [\"127.0.0.1\"]", "trusted_networks = [\"127.0.0.77\"]"],
                Tables = "[limits]\nmax_messages_per_address = \"1/1d\"\n",
            }.RoutedTo(sink.Port),
            _token);
        await using var balancer = await LoadBalancer.StartAsync(file, ["127.0.0.1", "127.0.0.1", "127.0.0.1"], server.SmtpPort, _token);

        using var stranger = await OpenAsync(balancer, IPAddress.Parse("127.0.0.78"));
        Assert.Equal(250, (await stranger.AskAsync("MAIL FROM:<a@client.example>", _token)).Code);
        Assert.Equal(550, (await stranger.AskAsync("RCPT TO:<b@elsewhere.example>", _token)).Code);
        using var trusted = await OpenAsync(balancer, IPAddress.Parse("127.0.0.77"));
        Assert.Equal(250, (await trusted.AskAsync("MAIL FROM:<a@client.example>", _token)).Code);
        Assert.Equal(250, (await trusted.AskAsync("RCPT TO:<b@elsewhere.example>", _token)).Code);
        Assert.Equal(354, (await trusted.AskAsync("DATA", _token)).Code);
        Assert.Equal(250, (await trusted.AskAsync("X-Ledger-Id: one\r\n\r\nhello\r\n.", _token)).Code);

        // Loopback is never limited; another address of this machine is.
        if (OwnAddress() is { } own)
        {
            using var limited = await OpenAsync(balancer, own);
            Assert.Equal(250, (await limited.AskAsync("MAIL FROM:<a@client.example>", _token)).Code);
            using var second = await OpenAsync(balancer, own);
            Assert.Equal(451, (await second.AskAsync("MAIL FROM:<a@client.example>", _token)).Code);
        }

        await Deadline.UntilAsync(() => sink.Messages.Count == 1, Limit, () => server.Child.OutputTail, _token);
        Assert.Contains("([127.0.0.77])", sink.Messages.Single().Text, StringComparison.Ordinal);
        Assert.Contains(" client=127.0.0.77 ", server.Child.Output, StringComparison.Ordinal);
        Assert.Contains(" client=127.0.0.78 ", server.Child.Output, StringComparison.Ordinal);

        // A probe says nothing; whoever says something without a header is a mistake.
        using (TcpClient probe = new())
        {
            await probe.ConnectAsync(IPAddress.Loopback, server.SmtpPort, _token);
        }

        AssertUntroubled(server.Child.Output);
        using var direct = await SmtpConversation.ConnectAsync(server.SmtpPort, _token);
        await direct.SendLineAsync("EHLO client.example", _token);
        Assert.Null(await direct.ReadLineAsync(_token));
        await Deadline.UntilAsync(
            () => server.Child.Output.Contains("127.0.0.1 is in proxy_from but sent no PROXY header", StringComparison.Ordinal), Limit, () => server.Child.OutputTail, _token);
    }

    private async Task<SmtpConversation> OpenAsync(LoadBalancer balancer, IPAddress from)
    {
        var conversation = await SmtpConversation.ConnectAsync(new LoadPlan { Port = balancer.Port, OpenSocket = () => SocketOf(from) }, _token);
        Assert.Equal(220, (await conversation.ReadReplyAsync(_token)).Code);
        Assert.Equal(250, (await conversation.AskAsync("EHLO client.example", _token)).Code);
        return conversation;
    }

    private static Socket SocketOf(IPAddress from)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Bind(new IPEndPoint(from, 0));
        return socket;
    }

    private static IPAddress? OwnAddress() => NetworkInterface.GetAllNetworkInterfaces()
        .SelectMany(network => network.GetIPProperties().UnicastAddresses.Select(unicast => unicast.Address))
        .FirstOrDefault(address => address.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(address));

    // What the SMTP side says; that a node is gone, or is without a majority, is said of itself and not of connections.
    private static void AssertUntroubled(string output) => Assert.DoesNotContain(
        output.Split('\n'),
        line => (line.Contains(" error smtp: ", StringComparison.Ordinal) || line.Contains(" warn smtp: ", StringComparison.Ordinal))
            && !line.Contains("there is no majority of the cluster", StringComparison.Ordinal));
}
