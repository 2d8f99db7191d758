using Quorumail.Server.Smtp;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>How long the data of a message may take.</summary>
public sealed class DataRateTests
{
    [Fact]
    public async Task A_message_that_will_be_refused_may_take_as_long_as_any_other()
    {
        await using var server = await SmtpTestServer.StartAsync(options: new ReceivingOptions { DataRateMin = 1 });
        await using var client = await GreetedAsync(server);
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        await client.SendAsync("x: bare\nline end\r\n");
        for (var i = 0; i < 5; i++)
        {
            await client.SendAsync(new string('x', 70) + "\r\n");
            server.Time.Advance(TimeSpan.FromSeconds(62));
        }

        Assert.StartsWith("550 5.6.11", await client.AskAsync("."), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_message_that_will_be_refused_may_not_take_longer_than_any_other()
    {
        await using var server = await SmtpTestServer.StartAsync(options: new ReceivingOptions { DataRateMin = 1 });
        await using var client = await GreetedAsync(server);
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        await client.AskAsync("DATA");
        await client.SendAsync("x: bare\nline end\r\n");
        server.Time.Advance(TimeSpan.FromSeconds(62));
        Assert.StartsWith("421 4.4.2 Data arrives too slowly", await client.ReplyAsync(), StringComparison.Ordinal);
        server.Time.Advance(TimeSpan.FromSeconds(2));
    }

    [Fact]
    public async Task A_refused_chunk_is_timed_from_its_own_beginning()
    {
        await using var server = await SmtpTestServer.StartAsync(options: new ReceivingOptions { DataRateMin = 1 });
        await using var client = await GreetedAsync(server);
        server.Time.Advance(TimeSpan.FromMinutes(2));
        await client.SendAsync("BDAT 142 LAST\r\n" + new string('x', 71));
        server.Time.Advance(TimeSpan.FromSeconds(62));
        await client.SendAsync(new string('x', 71));
        Assert.StartsWith("503 5.5.1", await client.ReplyAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pauses_between_chunks_are_not_held_against_the_next_one()
    {
        await using var server = await SmtpTestServer.StartAsync(options: new ReceivingOptions { DataRateMin = 1 });
        await using var client = await GreetedAsync(server);
        await client.AskAsync("MAIL FROM:<>");
        await client.AskAsync("RCPT TO:<joe@here.test>");
        for (var i = 0; i < 3; i++)
        {
            await client.SendAsync("BDAT 6\r\nx: ");
            server.Time.Advance(TimeSpan.FromSeconds(3));
            await client.SendAsync("y\r\n");
            Assert.StartsWith("250 2.0.0 6 octets", await client.ReplyAsync(), StringComparison.Ordinal);
            server.Time.Advance(TimeSpan.FromMinutes(2));
        }

        Assert.StartsWith("250 2.0.0 queued", await client.AskAsync("BDAT 0 LAST"), StringComparison.Ordinal);
    }

    private static async Task<InlineClient> GreetedAsync(SmtpTestServer server)
    {
        var client = new InlineClient(server);
        await client.ReplyAsync();
        var reply = await client.AskAsync("EHLO client.test");
        while (reply[3] == '-')
        {
            reply = await client.ReplyAsync();
        }

        return client;
    }
}
