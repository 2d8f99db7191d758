using System.Net;
using System.Net.Sockets;
using System.Text;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Transcripts;

/// <summary>A player that can't fail proves nothing: here it meets servers that answer wrongly.</summary>
public sealed class TranscriptPlayerTests
{
    private const string Good = "S: 220 .*\nC: NOOP\nS: 250 2.0.0 .*\nC: QUIT\nS: 221 2.0.0 .*\nE:\n";

    [Fact]
    public async Task A_session_that_goes_as_written_passes() =>
        Assert.Null(await PlayAsync(Good, ["220 hello", "250 2.0.0 ok", "221 2.0.0 bye"]));

    [Theory]
    [InlineData("another code", "220 hello", "251 2.0.0 ok", "221 2.0.0 bye")]
    [InlineData("another enhanced code", "220 hello", "250 2.1.0 ok", "221 2.0.0 bye")]
    [InlineData("one reply more", "220 hello", "250 2.0.0 ok", "221 2.0.0 bye\r\n250 2.0.0 more")]
    [InlineData("a reply too long", "220 hello", "250-2.0.0 first\r\n250 2.0.0 ok", "221 2.0.0 bye")]
    [InlineData("an early end", "220 hello")]
    public async Task A_session_that_goes_otherwise_fails(string what, params string[] replies) =>
        Assert.True(await PlayAsync(Good, replies) is not null, what);

    [Fact]
    public async Task Keywords_may_come_in_any_order_but_none_may_lack()
    {
        const string Script = "S: 220 .*\nC: EHLO x\nS: 250-name\nS: 250-DSN\nS: 250 SIZE 10\n";
        Assert.Null(await PlayAsync(Script, ["220 hello", "250-name\r\n250-SIZE 10\r\n250-HELP\r\n250 DSN"]));
        Assert.NotNull(await PlayAsync(Script, ["220 hello", "250-name\r\n250-SIZE 10\r\n250 HELP"]));
    }

    [Fact]
    public async Task Missing_and_unwanted_messages_are_told()
    {
        var message = new SinkMessage("", [], Encoding.ASCII.GetBytes("Subject: here\r\n\r\ntext\r\n"));
        Assert.Null(await PlayAsync("S: 220 .*\nM: 1\nB: ^text\\r?$\nB! absent\n", ["220 hello"], message));
        Assert.NotNull(await PlayAsync("S: 220 .*\nM: 0\n", ["220 hello"], message));
        Assert.NotNull(await PlayAsync("S: 220 .*\nB: absent\n", ["220 hello"], message));
        Assert.NotNull(await PlayAsync("S: 220 .*\nB! here\n", ["220 hello"], message));
    }

    [Fact]
    public void Escapes_and_placeholders_become_octets()
    {
        var variables = new Dictionary<string, string>(StringComparer.Ordinal) { ["me"] = "x" };
        var transcript = Transcript.Parse("# server: small\nC: a\\r\\n\\0\\x41\\\\\\c\nC: ${repeat 3 ab}${me}\n", variables);
        Assert.Equal("small", transcript.Profile);
        Assert.Equal("a\r\n\0A\\", Encoding.ASCII.GetString(((SendStep)transcript.Steps[0]).Octets));
        Assert.Equal("abababx\r\n", Encoding.ASCII.GetString(((SendStep)transcript.Steps[1]).Octets));
    }

    // A server that greets, then answers each line with the next reply, and closes after the last.
    private static async Task<string?> PlayAsync(string script, string[] replies, params SinkMessage[] arrived)
    {
        var token = TestContext.Current.CancellationToken;
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var serving = Task.Run(
            async () =>
            {
                using var client = await listener.AcceptTcpClientAsync(token);
                await using var stream = client.GetStream();
                using var reader = new StreamReader(stream);
                foreach (var reply in replies)
                {
                    if (!ReferenceEquals(reply, replies[0]) && await reader.ReadLineAsync(token) is null)
                    {
                        break;
                    }

                    await stream.WriteAsync(Encoding.ASCII.GetBytes(reply + "\r\n"), token);
                }
            },
            token);
        var transcript = Transcript.Parse(script, new Dictionary<string, string>(StringComparer.Ordinal));
        var fault = await TranscriptPlayer.PlayAsync(transcript, ((IPEndPoint)listener.LocalEndpoint).Port, () => arrived, token);
        await serving;
        return fault;
    }
}
