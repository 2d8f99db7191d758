namespace Quorumail.Core.Smtp;

/// <summary>
/// Writes a message as the content of DATA (RFC 5321 4.5.2): doubles the dot that begins a line, makes every bare CR or LF a
/// CRLF, ends an unfinished last line, and closes with the final dot line. What it writes can't end DATA early anywhere.
/// One instance serves one message.
/// </summary>
public sealed class DotStuffing
{
    private bool _isLineStart = true;
    private bool _isAfterCr;

    /// <summary>Octets of output that <see cref="Encode"/> may need for so many octets of input.</summary>
    public static int MaxEncodedLength(int octets) => checked((octets * 2) + 2);

    /// <summary>Encodes the next part of the message, of any length and split anywhere.</summary>
    /// <param name="source">Octets as stored.</param>
    /// <param name="destination">At least <see cref="MaxEncodedLength"/> octets.</param>
    /// <returns>Octets written.</returns>
    public int Encode(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, MaxEncodedLength(source.Length), nameof(destination));
        var written = 0;
        while (source.Length > 0)
        {
            if (_isAfterCr)
            {
                source = source[0] == '\n' ? source[1..] : source;
                EndLine(destination, ref written);
                continue;
            }

            if (_isLineStart && source[0] == '.')
            {
                destination[written++] = (byte)'.';
            }

            var length = source.IndexOfAny((byte)'\r', (byte)'\n');
            var part = length < 0 ? source : source[..length];
            part.CopyTo(destination[written..]);
            written += part.Length;
            _isLineStart &= part.IsEmpty;
            if (length < 0)
            {
                break;
            }

            _isAfterCr = source[length] == '\r';
            if (!_isAfterCr)
            {
                EndLine(destination, ref written);
            }

            source = source[(length + 1)..];
        }

        return written;
    }

    /// <summary>Ends the last line if need be and writes the final dot line.</summary>
    /// <param name="destination">At least 5 octets.</param>
    /// <returns>Octets written.</returns>
    public int Finish(Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, 5, nameof(destination));
        var written = 0;
        if (_isAfterCr || !_isLineStart)
        {
            EndLine(destination, ref written);
        }

        ".\r\n"u8.CopyTo(destination[written..]);
        return written + 3;
    }

    private void EndLine(Span<byte> destination, ref int written)
    {
        destination[written++] = (byte)'\r';
        destination[written++] = (byte)'\n';
        _isLineStart = true;
        _isAfterCr = false;
    }
}
