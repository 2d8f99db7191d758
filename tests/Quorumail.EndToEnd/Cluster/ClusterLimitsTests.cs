using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Load;

namespace Quorumail.EndToEnd.Cluster;

/// <summary>Promise 5 of the design on three nodes: a limit is one limit, whichever node is asked, and whichever node dies.</summary>
public sealed class ClusterLimitsTests(ITestOutputHelper output)
{
    private const int Limit = 60;
    private static readonly TimeSpan FormLimit = TimeSpan.FromSeconds(60);

    private readonly CancellationToken _token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Three_nodes_accept_exactly_as_many_messages_as_one_limit_allows_and_never_more_when_the_leader_is_killed()
    {
        await using ClusterServers servers = new(
            3,
            $$"""
            [limits]
            max_messages_per_address = "{{Limit}}/30d"
            [[routes]]
            match = "*"
            transport = "discard"
            """,
            """
            proxy_from = ["127.0.0.0/8"]
            relay_domains = ["out.test"]
            """);
        await servers.StartAllAsync(FormLimit, _token);
        Counts steady = new();
        await Task.WhenAll(Enumerable.Range(0, 6).Select(i => SendAsync(servers.SmtpPort(i % 3), "203.0.113.1", steady, () => false)));
        Assert.Equal(Limit, steady.Accepted);
        Assert.Equal(6, steady.Refused);

        Counts killed = new();
        var leader = await servers.LeaderAsync([0, 1, 2], _token);
        var isKilled = false;
        var sending = Task.WhenAll(Enumerable.Range(0, 6).Select(i => SendAsync(servers.SmtpPort(i % 3), "203.0.113.2", killed, () => i % 3 == leader && Volatile.Read(ref isKilled))));
        await Deadline.UntilAsync(
            _ => ValueTask.FromResult(killed.Accepted >= Limit / 4), FormLimit, () => $"{killed.Accepted} messages were accepted\n{servers.Outputs}", _token);
        var before = killed.Accepted;
        Volatile.Write(ref isKilled, true);
        await servers.KillAsync(leader);
        await sending;
        output.WriteLine($"{before} accepted before the leader was killed, {killed.Accepted} of {Limit} in all, {killed.Lost} sessions lost");
        Assert.Equal(4, killed.Refused);

        // What the dead node had been granted is lost until the window ends; nobody else gets it.
        Assert.InRange(killed.Accepted, Limit / 2, Limit);
    }

    /// <summary>Sends until it is refused for the limit, or its node is gone; what can't be answered now is sent again.</summary>
    private async Task SendAsync(int port, string address, Counts counts, Func<bool> isGone)
    {
        while (!isGone())
        {
            try
            {
                using var client = await SmtpConversation.ConnectAsync(port, _token);
                await client.SendLineAsync($"PROXY TCP4 {address} 192.0.2.1 1000 25", _token);
                await client.ReadReplyAsync(_token);
                await client.AskAsync("EHLO client.test", _token);
                while (true)
                {
                    var reply = await SendOneAsync(client);
                    if (reply.Code == 250)
                    {
                        Interlocked.Increment(ref counts.Accepted);
                    }
                    else if (reply.Lines[0].StartsWith("451 4.7.1", StringComparison.Ordinal))
                    {
                        Interlocked.Increment(ref counts.Refused);
                        return;
                    }
                    else
                    {
                        // No majority for a moment; with 421 the connection ends.
                        Assert.Contains(" 4.3.2 ", reply.Lines[0], StringComparison.Ordinal);
                    }
                }
            }
            catch (Exception closed) when (closed is IOException or System.Net.Sockets.SocketException)
            {
                Interlocked.Increment(ref counts.Lost);
            }
        }
    }

    private async Task<SmtpReply> SendOneAsync(SmtpConversation client)
    {
        var reply = await client.AskAsync("MAIL FROM:<a@b.test>", _token);
        if (reply.Code != 250)
        {
            return reply;
        }

        await client.AskAsync("RCPT TO:<x@out.test>", _token);
        await client.AskAsync("DATA", _token);
        return await client.AskAsync("Subject: x\r\n\r\nx\r\n.", _token);
    }

    private sealed class Counts
    {
        public int Accepted;
        public int Refused;
        public int Lost;
    }
}
