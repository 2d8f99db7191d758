using System.Text;

namespace Quorumail.Core.Delivery.Client;

/// <summary>
/// Reads replies (RFC 5321 4.2) from bytes that come in any pieces. What a next hop says is hostile: lines and their number are
/// limited, codes must agree within a reply, and nothing unprintable gets through. A line may end with LF alone.
/// </summary>
public sealed class ReplyParser(SmtpClientLimits limits)
{
    private readonly byte[] _partial = new byte[limits.ReplyLineMax];
    private int _partialLength;
    private List<string>? _lines;
    private int _code;

    /// <summary>Whether a reply has begun but is not complete.</summary>
    public bool IsInsideReply => _partialLength > 0 || _lines is { Count: > 0 };

    /// <summary>Forgets what has been read: after STARTTLS nothing of before counts (CVE-2011-0411).</summary>
    public void Reset()
    {
        _partialLength = 0;
        _lines = null;
        _code = 0;
    }

    /// <summary>Reads up to the end of one reply.</summary>
    /// <param name="input">What has come in.</param>
    /// <param name="consumed">How much of it was taken.</param>
    /// <param name="reply">The reply, if <see cref="ReplyStatus.Complete"/>.</param>
    public ReplyStatus Read(ReadOnlySpan<byte> input, out int consumed, out SmtpReply? reply)
    {
        reply = null;
        consumed = 0;
        while (consumed < input.Length)
        {
            var rest = input[consumed..];
            var end = rest.IndexOf((byte)'\n');
            var piece = end < 0 ? rest : rest[..end];
            if (_partialLength + piece.Length > limits.ReplyLineMax)
            {
                return ReplyStatus.Malformed;
            }

            if (end < 0)
            {
                Keep(piece);
                consumed = input.Length;
                return ReplyStatus.Incomplete;
            }

            consumed += end + 1;
            if (_partialLength > 0)
            {
                Keep(piece);
                piece = _partial.AsSpan(0, _partialLength);
            }

            var status = ReadLine(piece, out reply);
            _partialLength = 0;
            if (status != ReplyStatus.Incomplete)
            {
                return status;
            }
        }

        return ReplyStatus.Incomplete;
    }

    private void Keep(ReadOnlySpan<byte> piece)
    {
        piece.CopyTo(_partial.AsSpan(_partialLength));
        _partialLength += piece.Length;
    }

    private ReplyStatus ReadLine(ReadOnlySpan<byte> line, out SmtpReply? reply)
    {
        reply = null;
        if (line is [.., (byte)'\r'])
        {
            line = line[..^1];
        }

        if (!TryReadCode(line, out var code, out var isLast))
        {
            return ReplyStatus.Malformed;
        }

        if (_lines is { Count: > 0 } && (code != _code || _lines.Count >= limits.ReplyLinesMax))
        {
            return ReplyStatus.Malformed;
        }

        _code = code;
        var text = line.Length <= 4 ? string.Empty : Escape(line[4..], limits.ReplyLineMax);
        if (!isLast)
        {
            (_lines ??= []).Add(text);
            return ReplyStatus.Incomplete;
        }

        var lines = _lines ?? new List<string>(1);
        lines.Add(text);
        _lines = null;
        reply = new SmtpReply(code, ReadEnhancedCode(lines[0], code), lines);
        return ReplyStatus.Complete;
    }

    private static bool TryReadCode(ReadOnlySpan<byte> line, out int code, out bool isLast)
    {
        code = 0;
        isLast = true;
        if (line.Length < 3
            || line[0] is < (byte)'2' or > (byte)'5'
            || !char.IsAsciiDigit((char)line[1])
            || !char.IsAsciiDigit((char)line[2]))
        {
            return false;
        }

        code = ((line[0] - '0') * 100) + ((line[1] - '0') * 10) + (line[2] - '0');
        if (line.Length == 3)
        {
            return true;
        }

        isLast = line[3] == (byte)' ';
        return isLast || line[3] == (byte)'-';
    }

    /// <summary>RFC 2034: class.subject.detail at the start of the text; its class must be the code's.</summary>
    private static string? ReadEnhancedCode(string text, int code)
    {
        var end = text.IndexOf(' ', StringComparison.Ordinal);
        var word = end < 0 ? text.AsSpan() : text.AsSpan(0, end);
        if (word.Length is < 5 or > 9 || word[1] != '.' || word[0] - '0' != code / 100)
        {
            return null;
        }

        var detail = word[2..].IndexOf('.');
        return detail is >= 1 and <= 3
            && IsNumber(word.Slice(2, detail))
            && IsNumber(word[(3 + detail)..])
            ? word.ToString()
            : null;
    }

    private static bool IsNumber(ReadOnlySpan<char> text) =>
        text.Length is >= 1 and <= 3 && !text.ContainsAnyExceptInRange('0', '9');

    /// <summary>Bytes as printable ASCII: all others as \xHH, cut at <paramref name="charactersMax"/>.</summary>
    public static string Escape(ReadOnlySpan<byte> bytes, int charactersMax)
    {
        if (!bytes.ContainsAnyExceptInRange((byte)0x20, (byte)0x7e))
        {
            return Encoding.ASCII.GetString(bytes.Length <= charactersMax ? bytes : bytes[..charactersMax]);
        }

        var text = new StringBuilder(Math.Min(charactersMax, bytes.Length * 2));
        foreach (var b in bytes)
        {
            if (text.Length + 4 > charactersMax)
            {
                break;
            }

            if (b is >= 0x20 and <= 0x7e)
            {
                text.Append((char)b);
            }
            else
            {
                text.Append(System.Globalization.CultureInfo.InvariantCulture, $"\\x{b:X2}");
            }
        }

        return text.ToString();
    }
}
