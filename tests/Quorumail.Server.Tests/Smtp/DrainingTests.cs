using System.Net.Sockets;
using Quorumail.Server.Smtp;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>What clients see of a node that drains: 421 before MAIL, an end to what has begun, then nobody listens.</summary>
public sealed class DrainingTests
{
    private static readonly ReceivingOptions Options = new() { RefuseGrace = TimeSpan.FromSeconds(10), DrainTimeout = TimeSpan.FromSeconds(60) };

    [Fact]
    public async Task Idle_sessions_are_told_so_transactions_end_and_new_sessions_are_refused()
    {
        await using var server = await SmtpTestServer.StartAsync(options: Options);
        using var idle = await OpenAsync(server);
        using var busy = await OpenAsync(server);
        Assert.StartsWith("250", await busy.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        server.Queue.IsDraining = true;

        using var late = await server.ConnectAsync();
        Assert.StartsWith("421 4.3.2", await late.ReplyAsync(), StringComparison.Ordinal);
        Assert.StartsWith("421 4.3.2", await server.AdvanceUntilAsync(idle.ReplyAsync(), TimeSpan.FromSeconds(1)), StringComparison.Ordinal);
        Assert.StartsWith("250", await busy.AskAsync("RCPT TO:<joe@here.test>"), StringComparison.Ordinal);
        Assert.StartsWith("354", await busy.AskAsync("DATA"), StringComparison.Ordinal);
        Assert.StartsWith("250", await busy.AskAsync("x: y\r\n."), StringComparison.Ordinal);
        Assert.StartsWith("421 4.3.2", await busy.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Listeners_close_after_a_while_and_open_when_it_is_over()
    {
        await using var server = await SmtpTestServer.StartAsync(options: Options);
        server.Queue.IsDraining = true;
        await UntilListeningAsync(server, isListening: false);
        server.Queue.IsDraining = false;
        await UntilListeningAsync(server, isListening: true);
        using var client = await OpenAsync(server);
        Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_transaction_that_does_not_end_in_time_is_cut_off()
    {
        await using var server = await SmtpTestServer.StartAsync(options: Options);
        using var busy = await OpenAsync(server);
        Assert.StartsWith("250", await busy.AskAsync("MAIL FROM:<>"), StringComparison.Ordinal);
        server.Queue.IsDraining = true;
        Assert.Equal(string.Empty, await server.AdvanceUntilAsync(busy.ReplyAsync(), TimeSpan.FromSeconds(5)));
    }

    private static async Task<SmtpTestClient> OpenAsync(SmtpTestServer server)
    {
        var client = await server.ConnectAsync();
        Assert.StartsWith("220", await client.ReplyAsync(), StringComparison.Ordinal);
        await client.AskAsync("EHLO client.test");
        return client;
    }

    private static async Task UntilListeningAsync(SmtpTestServer server, bool isListening)
    {
        while (await IsListeningAsync(server) != isListening)
        {
            server.Time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(TimeSpan.FromMilliseconds(20), TestContext.Current.CancellationToken);
        }
    }

    private static async Task<bool> IsListeningAsync(SmtpTestServer server)
    {
        try
        {
            using var client = await server.ConnectAsync();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
