using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Quorumail.Server.Torture.Load;

/// <summary>A plain client end of an SMTP connection: sends what it is told, octet by octet, and reads whole replies.</summary>
internal sealed class SmtpConversation : IDisposable
{
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ReplyLimit = TimeSpan.FromSeconds(60);

    private readonly Socket _socket;
    private readonly TimeSpan _patience;
    private readonly byte[] _buffer = new byte[8192];
    private int _start;
    private int _end;

    private SmtpConversation(Socket socket, TimeSpan patience)
    {
        _socket = socket;
        _patience = patience;
    }

    /// <summary>Connects to a port of 127.0.0.1; the greeting is not read yet.</summary>
    public static Task<SmtpConversation> ConnectAsync(int port, CancellationToken token) =>
        ConnectAsync(new LoadPlan { Port = port }, token);

    /// <summary>Connects to the server of a plan, as the plan says.</summary>
    public static async Task<SmtpConversation> ConnectAsync(LoadPlan plan, CancellationToken token)
    {
        var socket = plan.OpenSocket?.Invoke() ?? new Socket(plan.Address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
            bound.CancelAfter(ConnectLimit);
            await socket.ConnectAsync(new IPEndPoint(plan.Address, plan.Port), bound.Token);
            return new SmtpConversation(socket, plan.Patience ?? ReplyLimit);
        }
        catch (OperationCanceledException e) when (!token.IsCancellationRequested)
        {
            socket.Dispose();
            throw new IOException($"No connection within {ConnectLimit.TotalSeconds} s.", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends octets as they are.</summary>
    public async Task SendAsync(ReadOnlyMemory<byte> octets, CancellationToken token)
    {
        while (!octets.IsEmpty)
        {
            octets = octets[await _socket.SendAsync(octets, token)..];
        }
    }

    /// <summary>Sends a line of text and CRLF.</summary>
    public Task SendLineAsync(string line, CancellationToken token) => SendAsync(Encoding.Latin1.GetBytes(line + "\r\n"), token);

    /// <summary>Sends a command and reads its reply.</summary>
    public async Task<SmtpReply> AskAsync(string command, CancellationToken token)
    {
        await SendLineAsync(command, token);
        return await ReadReplyAsync(token);
    }

    /// <summary>Reads one reply, all of its lines.</summary>
    /// <exception cref="EndOfStreamException">The server closed the connection.</exception>
    public async Task<SmtpReply> ReadReplyAsync(CancellationToken token)
    {
        var lines = new List<string>();
        while (true)
        {
            var line = await ReadLineAsync(token) ?? throw new EndOfStreamException("The server closed the connection.");
            lines.Add(line);
            if (line.Length < 4 || line[3] != '-')
            {
                var code = line.Length >= 3 && int.TryParse(line.AsSpan(0, 3), CultureInfo.InvariantCulture, out var number) ? number : 0;
                return new SmtpReply(code, lines);
            }
        }
    }

    /// <summary>Reads one line without its CRLF; null at the end of the connection.</summary>
    public async Task<string?> ReadLineAsync(CancellationToken token)
    {
        while (true)
        {
            var newline = _buffer.AsSpan(_start, _end - _start).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                var line = Encoding.Latin1.GetString(_buffer, _start, newline).TrimEnd('\r');
                _start += newline + 1;
                return line;
            }

            if (!await FillAsync(token))
            {
                return null;
            }
        }
    }

    /// <summary>Says that nothing more will be sent.</summary>
    public void EndOfSending() => _socket.Shutdown(SocketShutdown.Send);

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private async Task<bool> FillAsync(CancellationToken token)
    {
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        _end -= _start;
        _start = 0;
        if (_end == _buffer.Length)
        {
            throw new InvalidDataException("A reply line of more than 8 KiB.");
        }

        using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(_patience);
        try
        {
            var got = await _socket.ReceiveAsync(_buffer.AsMemory(_end), bound.Token);
            _end += got;
            return got > 0;
        }
        catch (OperationCanceledException e) when (!token.IsCancellationRequested)
        {
            throw new TimeoutException($"No reply for {_patience.TotalSeconds} s.", e);
        }
    }
}
