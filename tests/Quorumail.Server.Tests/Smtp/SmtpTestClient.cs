using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>A raw SMTP client: writes what it is told, reads whole replies, gives up after ten seconds.</summary>
internal sealed class SmtpTestClient(TcpClient client) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private readonly byte[] _buffer = new byte[16 * 1024];
    private Stream _stream = client.GetStream();
    private int _start;
    private int _end;

    public Socket Socket => client.Client;

    public X509Certificate2? ServerCertificate { get; private set; }

    public async Task<string> AskAsync(string line)
    {
        await SendAsync(line + "\r\n");
        return await ReplyAsync();
    }

    public async Task SendAsync(string octets) => await _stream.WriteAsync(Encoding.Latin1.GetBytes(octets), Token);

    public async Task SendAsync(byte[] octets) => await _stream.WriteAsync(octets, Token);

    /// <summary>One reply, its lines joined by LF; empty if the server has closed the connection.</summary>
    public async Task<string> ReplyAsync()
    {
        var lines = new List<string>();
        while (true)
        {
            var line = await LineAsync();
            if (line is null)
            {
                return string.Join('\n', lines);
            }

            lines.Add(line);
            if (line.Length < 4 || line[3] != '-')
            {
                return string.Join('\n', lines);
            }
        }
    }

    public async Task StartTlsAsync()
    {
        var tls = new SslStream(_stream, leaveInnerStreamOpen: false, (_, certificate, _, _) =>
        {
            // Any will do: which one it is, is for the test to judge.
            ServerCertificate = certificate as X509Certificate2;
            return certificate is not null;
        });
        await tls.AuthenticateAsClientAsync("mx.test").WaitAsync(Patience, Token);
        _stream = tls;
    }

    /// <summary>So many octets as they come, outside of replies.</summary>
    public async Task<byte[]> ReadAsync(int count)
    {
        var octets = new byte[count];
        using var patience = new CancellationTokenSource(Patience);
        await _stream.ReadExactlyAsync(octets, patience.Token);
        return octets;
    }

    /// <summary>Keeps what comes from here on, below TLS that is started later.</summary>
    public List<byte> RecordOctets()
    {
        var recording = new RecordingStream(_stream);
        _stream = recording;
        return recording.Octets;
    }

    public async Task ShutdownTlsAsync() => await ((SslStream)_stream).ShutdownAsync();

    /// <summary>EHLO, MAIL, RCPT, DATA and the message; the last reply.</summary>
    public async Task<string> SendMessageAsync(string message, string recipient = "joe@here.test")
    {
        await AskAsync("MAIL FROM:<sender@client.test>");
        await AskAsync($"RCPT TO:<{recipient}>");
        Assert.StartsWith("354", await AskAsync("DATA"), StringComparison.Ordinal);
        return await AskAsync(message + "\r\n.");
    }

    public void Dispose() => client.Dispose();

    private async Task<string?> LineAsync()
    {
        while (true)
        {
            var at = _buffer.AsSpan(_start, _end - _start).IndexOf((byte)'\n');
            if (at >= 0)
            {
                var line = Encoding.Latin1.GetString(_buffer, _start, at).TrimEnd('\r');
                _start += at + 1;
                return line;
            }

            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
            int read;
            try
            {
                using var patience = new CancellationTokenSource(Patience);
                read = await _stream.ReadAsync(_buffer.AsMemory(_end), patience.Token);
            }
            catch (IOException)
            {
                return null;
            }

            if (read == 0)
            {
                return null;
            }

            _end += read;
        }
    }
}
