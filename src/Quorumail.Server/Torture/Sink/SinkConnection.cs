using System.Buffers;
using System.Net.Sockets;
using System.Text;
using Quorumail.Server.Torture.Load;

namespace Quorumail.Server.Torture.Sink;

/// <summary>One connection of a <see cref="SmtpSink"/>.</summary>
internal sealed class SinkConnection(SmtpSink sink, Socket socket) : IDisposable
{
    /// <summary>What SIZE says.</summary>
    private const int MaximumContent = 104_857_600;

    private static readonly TimeSpan TarpitPause = TimeSpan.FromSeconds(1);

    private readonly byte[] _buffer = new byte[65536];
    private readonly StringBuilder _output = new();
    private readonly List<string> _recipients = [];
    private string _sender = "";
    private int _start;
    private int _end;

    /// <summary>Talks until the client leaves.</summary>
    public async Task RunAsync(CancellationToken token)
    {
        socket.NoDelay = true;
        if (!await AnswerAsync(SinkStage.Connect, "", "220 sink.example ESMTP", token))
        {
            return;
        }

        while (await ReadLineAsync(token) is { } line)
        {
            var verb = line.Split(' ')[0].ToUpperInvariant();
            var goOn = verb switch
            {
                "EHLO" or "LHLO" => Say(string.Join("\r\n", Ehlo())),
                "HELO" or "RSET" or "NOOP" => Say("250 2.0.0 ok"),
                "MAIL" => await MailAsync(line, token),
                "RCPT" => await RecipientAsync(line, token),
                "DATA" => await DataAsync(token),
                "QUIT" => Say("221 2.0.0 bye") && false,
                _ => Say("502 5.5.1 unknown"),
            };
            if (!goOn)
            {
                await FlushAsync(token);
                return;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => socket.Dispose();

    private IEnumerable<string> Ehlo()
    {
        string[] words = ["sink.example", .. sink.Extensions];
        return words.Select((word, index) => index == words.Length - 1 ? $"250 {word}" : $"250-{word}");
    }

    private Task<bool> MailAsync(string line, CancellationToken token)
    {
        _sender = Address(line);
        _recipients.Clear();
        return AnswerAsync(SinkStage.Mail, _sender, "250 2.1.0 ok", token);
    }

    private async Task<bool> RecipientAsync(string line, CancellationToken token)
    {
        var address = Address(line);
        var before = _output.Length;
        var goOn = await AnswerAsync(SinkStage.Recipient, address, "250 2.1.5 ok", token);
        if (goOn && _output.Length > before && _output[before] == '2')
        {
            _recipients.Add(address);
        }

        return goOn;
    }

    private async Task<bool> DataAsync(CancellationToken token)
    {
        if (_recipients.Count == 0)
        {
            return Say("554 5.5.1 no valid recipients");
        }

        Say("354 go ahead");
        await FlushAsync(token);
        var content = await ReadContentAsync(token);
        TestMessage.TryRecognise(content, out var id, out _);
        var action = sink.Script(SinkStage.EndOfData, id);
        if (action.Kind is SinkActionKind.Accept or SinkActionKind.Tarpit or SinkActionKind.LoseReply or SinkActionKind.Hold)
        {
            sink.Take(content, _sender, [.. _recipients]);
        }

        if (action.Kind is SinkActionKind.LoseReply or SinkActionKind.Reset or SinkActionKind.Hang)
        {
            sink.LeaveUnanswered(content);
        }

        if (action.Kind == SinkActionKind.LoseReply)
        {
            return false;
        }

        return await ActAsync(action, "250 2.0.0 taken", token);
    }

    private Task<bool> AnswerAsync(SinkStage stage, string argument, string positive, CancellationToken token) =>
        ActAsync(sink.Script(stage, argument), positive, token);

    private async Task<bool> ActAsync(SinkAction action, string positive, CancellationToken token)
    {
        switch (action.Kind)
        {
            case SinkActionKind.Reset:
                socket.LingerState = new LingerOption(enable: true, seconds: 0);
                return false;
            case SinkActionKind.Hang:
                await FlushAsync(token);
                await Task.Delay(Timeout.Infinite, token);
                return false;
            case SinkActionKind.Tarpit:
                await FlushAsync(token);
                await Task.Delay(TarpitPause, token);
                return Say(positive);
            case SinkActionKind.Hold:
                await FlushAsync(token);
                await action.Release!.WaitAsync(token);
                return Say(positive);
            case SinkActionKind.Reply:
                Say(action.Reply);
                return !action.Reply.StartsWith("421", StringComparison.Ordinal);
            default:
                return Say(positive);
        }
    }

    private bool Say(string reply)
    {
        _output.Append(reply).Append("\r\n");
        return true;
    }

    private async Task FlushAsync(CancellationToken token)
    {
        if (_output.Length > 0)
        {
            var octets = Encoding.ASCII.GetBytes(_output.ToString());
            _output.Clear();
            await socket.SendAsync(octets, token);
        }
    }

    // Reads up to the final dot and takes the doubled dots out.
    private async Task<byte[]> ReadContentAsync(CancellationToken token)
    {
        var content = new ArrayBufferWriter<byte>(16_384);
        while (true)
        {
            var line = await ReadOctetsAsync(token) ?? throw new IOException("The connection ended within DATA.");
            if (line.Span.SequenceEqual(".\r\n"u8))
            {
                return content.WrittenSpan.ToArray();
            }

            if (content.WrittenCount > MaximumContent)
            {
                throw new IOException("A message of more than 100 MiB.");
            }

            content.Write(line.Span is [(byte)'.', ..] ? line.Span[1..] : line.Span);
        }
    }

    private async Task<string?> ReadLineAsync(CancellationToken token) =>
        await ReadOctetsAsync(token) is { } line ? Encoding.Latin1.GetString(line.Span).TrimEnd('\r', '\n') : null;

    // One line with its end; the memory is valid until the next call. Replies go out only when nothing more is buffered.
    private async ValueTask<ReadOnlyMemory<byte>?> ReadOctetsAsync(CancellationToken token)
    {
        while (true)
        {
            var newline = _buffer.AsSpan(_start, _end - _start).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                var line = _buffer.AsMemory(_start, newline + 1);
                _start += newline + 1;
                return line;
            }

            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
            if (_end == _buffer.Length)
            {
                throw new IOException("A line of more than 64 KiB.");
            }

            await FlushAsync(token);
            var got = await socket.ReceiveAsync(_buffer.AsMemory(_end), token);
            if (got == 0)
            {
                return null;
            }

            _end += got;
        }
    }

    private static string Address(string line)
    {
        var open = line.IndexOf('<', StringComparison.Ordinal);
        var close = line.IndexOf('>', open + 1);
        return open < 0 || close < 0 ? "" : line[(open + 1)..close];
    }
}
