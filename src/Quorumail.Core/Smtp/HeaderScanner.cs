using System.Runtime.CompilerServices;

namespace Quorumail.Core.Smtp;

/// <summary>
/// Follows the header section of a message line by line, without keeping it: counts what the server must know. Lines come
/// in parts, as they arrive.
/// </summary>
internal struct HeaderScanner
{
    private const int NameMax = 12;

    private NameBuffer _name;
    private int _nameLength;
    private bool _hasColon;

    /// <summary>Received fields seen so far.</summary>
    public int ReceivedFields { get; private set; }

    /// <summary>Whether a Message-ID field was seen.</summary>
    public bool HasMessageId { get; private set; }

    /// <summary>Whether a Date field was seen.</summary>
    public bool HasDate { get; private set; }

    /// <summary>Takes a part of the current line, without its line end.</summary>
    public void Append(ReadOnlySpan<byte> part)
    {
        if (_hasColon)
        {
            return;
        }

        if (_nameLength < NameMax)
        {
            var kept = Math.Min(part.Length, NameMax - _nameLength);
            part[..kept].CopyTo(((Span<byte>)_name)[_nameLength..]);
            _nameLength += kept;
        }

        _hasColon = part.Contains((byte)':');
    }

    /// <summary>Takes the end of a line that is not empty; false if the line is no header line, so that the body has begun.</summary>
    public bool EndLine()
    {
        var start = ((ReadOnlySpan<byte>)_name)[.._nameLength];
        var hasColon = _hasColon;
        _nameLength = 0;
        _hasColon = false;
        if (start[0] is (byte)' ' or (byte)'\t')
        {
            return true;
        }

        if (!hasColon)
        {
            return false;
        }

        switch (start[0] | 0x20)
        {
            case 'r' when Names(start, "received"u8):
                ReceivedFields++;
                break;
            case 'm' when Names(start, "message-id"u8):
                HasMessageId = true;
                break;
            case 'd' when Names(start, "date"u8):
                HasDate = true;
                break;
        }

        return true;
    }

    private static bool Names(ReadOnlySpan<byte> start, ReadOnlySpan<byte> name)
    {
        if (start.Length <= name.Length || !System.Text.Ascii.EqualsIgnoreCase(start[..name.Length], name))
        {
            return false;
        }

        // White space before the colon is obsolete syntax (RFC 5322 4.5) and still names the field.
        return start[name.Length] is (byte)':' or (byte)' ' or (byte)'\t';
    }

    [InlineArray(NameMax)]
    private struct NameBuffer
    {
        private byte _first;
    }
}
