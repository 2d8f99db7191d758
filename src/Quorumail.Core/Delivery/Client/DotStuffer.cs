using System.Buffers;

namespace Quorumail.Core.Delivery.Client;

/// <summary>
/// Writes a message as DATA wants it (RFC 5321 4.5.2): a line that begins with a dot gets another, and the end is
/// CRLF.CRLF. A bare CR or LF never gets through: it would let a message smuggle others (CVE-2023-51764).
/// </summary>
public struct DotStuffer
{
    private bool _insideLine;
    private bool _carriageReturn;

    /// <summary>Writes a piece of the message; pieces may be cut anywhere.</summary>
    /// <returns>False if there is a bare CR or LF: the transaction must not be completed.</returns>
    public bool TryWrite(ReadOnlySpan<byte> piece, IBufferWriter<byte> output)
    {
        ArgumentNullException.ThrowIfNull(output);
        if (piece.IsEmpty)
        {
            return true;
        }

        var position = 0;
        if (_carriageReturn)
        {
            if (piece[0] != (byte)'\n')
            {
                return false;
            }

            output.Write("\r\n"u8);
            _carriageReturn = false;
            _insideLine = false;
            position = 1;
        }

        var written = position;
        while (position < piece.Length)
        {
            if (!_insideLine && piece[position] == (byte)'.')
            {
                output.Write(piece[written..position]);
                output.Write("."u8);
                written = position;
            }

            var end = piece[position..].IndexOfAny((byte)'\r', (byte)'\n');
            if (end < 0)
            {
                _insideLine = true;
                break;
            }

            end += position;
            if (end + 1 == piece.Length && piece[end] == (byte)'\r')
            {
                // Held back until its LF is seen.
                _carriageReturn = true;
                output.Write(piece[written..end]);
                return true;
            }

            if (piece[end] == (byte)'\n' || piece[end + 1] != (byte)'\n')
            {
                return false;
            }

            _insideLine = false;
            position = end + 2;
        }

        output.Write(piece[written..]);
        return true;
    }

    /// <summary>Ends the last line if it has no end, so that the final dot can follow.</summary>
    /// <returns>False if the message ends with a bare CR.</returns>
    public bool TryEndLine(IBufferWriter<byte> output)
    {
        if (_carriageReturn)
        {
            return false;
        }

        if (_insideLine)
        {
            output.Write("\r\n"u8);
            _insideLine = false;
        }

        return true;
    }
}
