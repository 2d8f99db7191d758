using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Quorumail.EndToEnd.Cluster.Lab;

namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>
/// A connection to a node's HTTP listener, one request at a time. Unlike HttpClient it never sends a request twice, and it
/// knows whether one was sent at all: what a client may conclude from a failure is what the ledger is about.
/// </summary>
internal sealed class StateConnection(LabHost host, int port) : IDisposable
{
    private const int AnswerMax = 8 << 20;

    private readonly IPEndPoint _server = new(IPAddress.Loopback, port);
    private byte[] _buffer = new byte[16 << 10];
    private Socket? _socket;

    /// <summary>Sends a request and waits for its answer. Failures and time-outs are answers without a status.</summary>
    public async Task<HttpAnswer> AskAsync(
        string method, string target, ReadOnlyMemory<byte> body, string? header, TimeSpan limit, CancellationToken token)
    {
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(limit);
        var wasSent = false;
        try
        {
            var socket = await ConnectAsync(bound.Token);
            var head = string.Create(
                CultureInfo.InvariantCulture, $"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body.Length}\r\n{header}\r\n");
            byte[] request = [.. Encoding.ASCII.GetBytes(head), .. body.Span];
            wasSent = true;
            for (var sent = 0; sent < request.Length;)
            {
                sent += await socket.SendAsync(request.AsMemory(sent), bound.Token);
            }

            return await ReadAsync(socket, bound.Token);
        }
        catch (Exception failure) when (failure is SocketException or IOException || (failure is OperationCanceledException && !token.IsCancellationRequested))
        {
            Close();
            return new HttpAnswer(0, wasSent);
        }
        catch
        {
            Close();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Close();

    private async Task<Socket> ConnectAsync(CancellationToken token)
    {
        // Something to read before anything was asked: the server has closed it.
        if (_socket is { } open && !open.Poll(0, SelectMode.SelectRead))
        {
            return open;
        }

        Close();
        _socket = host.OpenSocket();
        await _socket.ConnectAsync(_server, token);
        return _socket;
    }

    private void Close()
    {
        _socket?.Dispose();
        _socket = null;
    }

    private async Task<HttpAnswer> ReadAsync(Socket socket, CancellationToken token)
    {
        var filled = 0;
        int end;
        while ((end = _buffer.AsSpan(0, filled).IndexOf("\r\n\r\n"u8)) < 0)
        {
            filled += await FillAsync(socket, filled, token);
        }

        var fields = Encoding.ASCII.GetString(_buffer, 0, end).Split("\r\n");
        var start = end + 4;
        byte[] body;
        if (Field(fields, "Transfer-Encoding") is not null)
        {
            var whole = new ArrayBufferWriter<byte>();
            while (true)
            {
                int line;
                while ((line = _buffer.AsSpan(start, filled - start).IndexOf("\r\n"u8)) < 0)
                {
                    filled += await FillAsync(socket, filled, token);
                }

                var length = int.Parse(Encoding.ASCII.GetString(_buffer, start, line), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                start += line + 2;
                while (filled - start < length + 2)
                {
                    filled += await FillAsync(socket, filled, token);
                }

                whole.Write(_buffer.AsSpan(start, length));
                start += length + 2;
                if (length == 0)
                {
                    break;
                }
            }

            body = whole.WrittenSpan.ToArray();
        }
        else
        {
            var length = int.Parse(Field(fields, "Content-Length") ?? "0", CultureInfo.InvariantCulture);
            while (filled - start < length)
            {
                filled += await FillAsync(socket, filled, token);
            }

            body = _buffer.AsSpan(start, length).ToArray();
        }

        if (string.Equals(Field(fields, "Connection"), "close", StringComparison.OrdinalIgnoreCase))
        {
            Close();
        }

        return new HttpAnswer(int.Parse(fields[0].Split(' ')[1], CultureInfo.InvariantCulture), true)
        {
            Body = body,
            Version = long.Parse(Field(fields, "ETag")?.Trim('"') ?? "0", CultureInfo.InvariantCulture),
            Date = Field(fields, "Date") is { } date ? DateTimeOffset.Parse(date, CultureInfo.InvariantCulture) : default,
        };
    }

    private async Task<int> FillAsync(Socket socket, int filled, CancellationToken token)
    {
        if (filled == _buffer.Length)
        {
            if (filled >= AnswerMax)
            {
                throw new IOException("The answer is too long.");
            }

            Array.Resize(ref _buffer, filled * 2);
        }

        var read = await socket.ReceiveAsync(_buffer.AsMemory(filled), token);
        return read > 0 ? read : throw new IOException("The server has closed the connection.");
    }

    private static string? Field(string[] fields, string name)
    {
        foreach (var field in fields)
        {
            if (field.StartsWith(name, StringComparison.OrdinalIgnoreCase) && field.Length > name.Length && field[name.Length] == ':')
            {
                return field[(name.Length + 1)..].Trim();
            }
        }

        return null;
    }
}
