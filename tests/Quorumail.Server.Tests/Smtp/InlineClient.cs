using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Quorumail.Server.Smtp;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>
/// A client on pipes instead of a socket: when it has sent octets the server has read them and waits again, so that a test can
/// let time pass at exactly that moment.
/// </summary>
internal sealed class InlineClient : IAsyncDisposable
{
    private static readonly PipeOptions Inline = new(readerScheduler: PipeScheduler.Inline, writerScheduler: PipeScheduler.Inline, useSynchronizationContext: false);

    private readonly Pipe _toServer = new(Inline);
    private readonly Pipe _toClient = new(Inline);
    private readonly Task _serving;

    public InlineClient(SmtpTestServer server)
    {
        var context = new DefaultConnectionContext("inline", new Duplex(_toServer.Reader, _toClient.Writer), new Duplex(_toClient.Reader, _toServer.Writer))
        {
            RemoteEndPoint = new IPEndPoint(IPAddress.Parse("192.0.2.1"), 1000),
        };
        _serving = new SmtpConnectionHandler(server.Services, server.Listener).OnConnectedAsync(context);
    }

    public async Task<string> AskAsync(string line)
    {
        await SendAsync(line + "\r\n");
        return await ReplyAsync();
    }

    public async Task SendAsync(string octets) => await _toServer.Writer.WriteAsync(Encoding.Latin1.GetBytes(octets), TestContext.Current.CancellationToken);

    /// <summary>The next line of a reply.</summary>
    public async Task<string> ReplyAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (true)
        {
            var result = await _toClient.Reader.ReadAsync(patience.Token);
            if (result.Buffer.PositionOf((byte)'\n') is { } end)
            {
                var line = Encoding.Latin1.GetString(result.Buffer.Slice(0, end)).TrimEnd('\r');
                _toClient.Reader.AdvanceTo(result.Buffer.GetPosition(1, end));
                return line;
            }

            _toClient.Reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            Assert.False(result.IsCompleted, "the server has closed the connection");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _toServer.Writer.CompleteAsync();
        await _toClient.Reader.CompleteAsync();
        await _serving;
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
