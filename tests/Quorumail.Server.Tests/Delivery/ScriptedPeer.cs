using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading.Channels;

namespace Quorumail.Server.Tests.Delivery;

/// <summary>How a peer's answers are cut.</summary>
public enum Cutting
{
    Whole,
    ByLine,
    ByByte,
}

/// <summary>
/// A next hop on loopback that answers each command line by a script: null is its usual answer, "" silence, an answer that ends in
/// <see cref="HangUp"/> is followed by hanging up. Keeps what it was told.
/// </summary>
public sealed class ScriptedPeer : IAsyncDisposable
{
    public const string HangUp = "<hang up>";
    private readonly TcpListener _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();
    private readonly List<Task> _sessions = [];
    private readonly Task _accepting;
    private readonly Lock _lock = new();
    private readonly List<string> _messages = [];
    private readonly List<long> _acceptedAt = [];
    private int _connections;
    private int _open;
    private int _mostOpen;

    /// <param name="address">Where it listens; null for 127.0.0.1.</param>
    public ScriptedPeer(IPAddress? address = null)
    {
        _listener = new TcpListener(address ?? IPAddress.Loopback, 0);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public Func<string, string?> Script { get; set; } = static _ => null;

    public string Greeting { get; set; } = "220 peer.example ESMTP\r\n";

    public string Ehlo { get; set; } =
        "250-peer.example\r\n250-PIPELINING\r\n250-SIZE 10000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n";

    public Cutting Cutting { get; set; }

    /// <summary>What is said after the message; for LMTP one line a recipient.</summary>
    public Func<string, string> AfterDot { get; set; } = static _ => "250 2.0.0 taken\r\n";

    public X509Certificate2? Certificate { get; set; }

    /// <summary>Said in the clear together with the 220 to STARTTLS: an injection.</summary>
    public string Injection { get; set; } = "";

    public int Connections => Volatile.Read(ref _connections);

    /// <summary>When each connection came, before anything was said, by <see cref="TimeProvider.GetTimestamp"/>.</summary>
    public IReadOnlyList<long> AcceptedAt
    {
        get
        {
            lock (_lock)
            {
                return [.. _acceptedAt];
            }
        }
    }

    /// <summary>Connections that are open.</summary>
    public int Open
    {
        get
        {
            lock (_lock)
            {
                return _open;
            }
        }
    }

    /// <summary>The most connections that were open at once.</summary>
    public int MostOpen
    {
        get
        {
            lock (_lock)
            {
                return _mostOpen;
            }
        }
    }

    /// <summary>Messages with their final dot, unstuffed.</summary>
    public IReadOnlyList<string> Messages
    {
        get
        {
            lock (_lock)
            {
                return [.. _messages];
            }
        }
    }

    /// <summary>Command lines, in order of arrival.</summary>
    public ChannelReader<string> Lines => _lines.Reader;

    public List<string> TakeLines()
    {
        List<string> lines = [];
        while (_lines.Reader.TryRead(out var line))
        {
            lines.Add(line);
        }

        return lines;
    }

    public static X509Certificate2 NewCertificate(string host)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={host}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(host);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        using var made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        await Task.WhenAll(_sessions);
        _stop.Dispose();
    }

    private void Count(int change)
    {
        lock (_lock)
        {
            _open += change;
            _mostOpen = Math.Max(_mostOpen, _open);
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token);
                Interlocked.Increment(ref _connections);
                lock (_lock)
                {
                    _acceptedAt.Add(TimeProvider.System.GetTimestamp());
                }

                Count(1);
                _sessions.Add(ServeAsync(client));
            }
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or InvalidOperationException)
        {
            // Stopped.
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            client.NoDelay = true;
            Stream stream = client.GetStream();
            try
            {
                if (!await SayAsync(stream, Greeting))
                {
                    return;
                }

                await TalkAsync(stream);
            }
            catch (Exception error) when (error is IOException or OperationCanceledException or System.Security.Authentication.AuthenticationException)
            {
                // The client has gone, or the test is over.
            }
            finally
            {
                Count(-1);
            }
        }
    }

    private async Task TalkAsync(Stream stream)
    {
        var reader = new LineReader(stream);
        while (await reader.ReadAsync(_stop.Token) is { } line)
        {
            _lines.Writer.TryWrite(line);
            var answer = Script(line) ?? Usual(line);
            if (!await SayAsync(stream, answer + (line == "STARTTLS" && answer.StartsWith("220", StringComparison.Ordinal) ? Injection : "")))
            {
                return;
            }

            if (line == "QUIT")
            {
                return;
            }

            if (line == "STARTTLS" && answer.StartsWith("220", StringComparison.Ordinal) && Certificate is not null)
            {
                var secure = new SslStream(stream);
                await secure.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = Certificate }, _stop.Token);
                stream = secure;
                reader = new LineReader(stream);
            }
            else if (line == "DATA" && answer.StartsWith("354", StringComparison.Ordinal))
            {
                var message = await ReadMessageAsync(reader);
                if (message is null || !await SayAsync(stream, AfterDot(message)))
                {
                    return;
                }
            }
        }
    }

    private async Task<string?> ReadMessageAsync(LineReader reader)
    {
        var message = new StringBuilder();
        while (await reader.ReadAsync(_stop.Token) is { } line)
        {
            if (line == ".")
            {
                lock (_lock)
                {
                    _messages.Add(message.ToString());
                }

                return message.ToString();
            }

            message.Append(line.StartsWith('.') ? line[1..] : line).Append("\r\n");
        }

        return null;
    }

    private string Usual(string line) =>
        line.StartsWith("EHLO", StringComparison.Ordinal) || line.StartsWith("LHLO", StringComparison.Ordinal) ? Ehlo
        : line == "DATA" ? "354 go on\r\n"
        : line == "QUIT" ? "221 2.0.0 bye\r\n"
        : line == "STARTTLS" ? "220 2.0.0 go\r\n"
        : "250 2.1.0 ok\r\n";

    private async Task<bool> SayAsync(Stream stream, string answer)
    {
        var hangsUp = answer.EndsWith(HangUp, StringComparison.Ordinal);
        var bytes = Encoding.Latin1.GetBytes(hangsUp ? answer[..^HangUp.Length] : answer);
        for (var at = 0; at < bytes.Length;)
        {
            var end = Cutting switch
            {
                Cutting.ByByte => at + 1,
                Cutting.ByLine => Array.IndexOf(bytes, (byte)'\n', at) + 1,
                _ => bytes.Length,
            };
            end = end <= at ? bytes.Length : end;
            await stream.WriteAsync(bytes.AsMemory(at, end - at), _stop.Token);
            at = end;
        }

        return !hangsUp;
    }

    private sealed class LineReader(Stream stream)
    {
        private readonly byte[] _buffer = new byte[65536];
        private int _from;
        private int _to;

        public async Task<string?> ReadAsync(CancellationToken token)
        {
            while (true)
            {
                var end = _buffer.AsSpan(_from, _to - _from).IndexOf("\r\n"u8);
                if (end >= 0)
                {
                    var line = Encoding.Latin1.GetString(_buffer, _from, end);
                    _from += end + 2;
                    return line;
                }

                _buffer.AsSpan(_from, _to - _from).CopyTo(_buffer);
                _to -= _from;
                _from = 0;
                var count = await stream.ReadAsync(_buffer.AsMemory(_to), token);
                if (count == 0)
                {
                    return null;
                }

                _to += count;
            }
        }
    }
}
