using System.Buffers;

namespace Quorumail.Core.Smtp;

/// <summary>What <see cref="SmtpParser.ReadLine"/> found.</summary>
public enum SmtpLine
{
    /// <summary>No whole line yet; everything that can't be part of one is consumed.</summary>
    NeedInput = 0,

    /// <summary>A line that ended with CRLF.</summary>
    Complete = 1,

    /// <summary>The line was longer than the limit; it has been thrown away up to its end.</summary>
    TooLong = 2,

    /// <summary>The line had a bare CR, or ended with a bare LF.</summary>
    BareLineEnd = 3,

    /// <summary>The line had a NUL.</summary>
    Nul = 4,

    /// <summary>A line without end was longer than what is thrown away patiently: close.</summary>
    Endless = 5,
}

/// <summary>
/// Cuts command lines out of a byte stream (RFC 5321 2.3.8): only CRLF ends a line. Keeps no octets: a line that isn't
/// whole stays in the caller's buffer, one that is too long is thrown away as it arrives.
/// </summary>
public sealed class SmtpParser
{
    private readonly int _endlessLineMax;
    private byte[]? _joined;
    private long _dropped;

    /// <param name="endlessLineMax">Octets of an over-long line that are thrown away before <see cref="SmtpLine.Endless"/>.</param>
    public SmtpParser(int endlessLineMax) => _endlessLineMax = endlessLineMax;

    /// <summary>Reads the next line and takes it out of <paramref name="input"/>.</summary>
    /// <param name="input">What has arrived and wasn't used.</param>
    /// <param name="lineMax">Octets of a line with its CRLF.</param>
    /// <param name="line">The line without CRLF; valid until the next call or until the input's memory goes.</param>
    public SmtpLine ReadLine(ref ReadOnlySequence<byte> input, int lineMax, out ReadOnlySpan<byte> line)
    {
        line = default;
        var first = input.FirstSpan;
        var end = first.IndexOf((byte)'\n');
        if (end >= 0 && _dropped == 0 && end < lineMax)
        {
            line = first[..(end + 1)];
            input = input.Slice(end + 1);
            return Check(ref line);
        }

        var position = end >= 0 ? input.GetPosition(end) : input.IsSingleSegment ? null : input.PositionOf((byte)'\n');
        if (position is not { } lineFeed)
        {
            return NoEnd(ref input, lineMax);
        }

        var whole = input.Slice(0, input.GetPosition(1, lineFeed));
        input = input.Slice(whole.End);
        if (_dropped > 0 || whole.Length > lineMax)
        {
            var length = _dropped + whole.Length;
            _dropped = 0;
            return length > _endlessLineMax ? SmtpLine.Endless : SmtpLine.TooLong;
        }

        if (_joined is null || _joined.Length < whole.Length)
        {
            _joined = new byte[Math.Max((int)whole.Length, 256)];
        }

        whole.CopyTo(_joined);
        line = _joined.AsSpan(0, (int)whole.Length);
        return Check(ref line);
    }

    private SmtpLine NoEnd(ref ReadOnlySequence<byte> input, int lineMax)
    {
        // One octet short of the limit may still be followed by LF.
        if (_dropped == 0 && input.Length < lineMax)
        {
            return SmtpLine.NeedInput;
        }

        _dropped += input.Length;
        input = input.Slice(input.End);
        return _dropped > _endlessLineMax ? SmtpLine.Endless : SmtpLine.NeedInput;
    }

    private static SmtpLine Check(ref ReadOnlySpan<byte> line)
    {
        if (line.Length < 2 || line[^2] != '\r')
        {
            return SmtpLine.BareLineEnd;
        }

        line = line[..^2];
        return line.IndexOfAny((byte)'\r', (byte)0) switch
        {
            < 0 => SmtpLine.Complete,
            var at when line[at] == '\r' => SmtpLine.BareLineEnd,
            _ => SmtpLine.Nul,
        };
    }
}
