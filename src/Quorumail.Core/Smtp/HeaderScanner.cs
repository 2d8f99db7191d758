using System.Runtime.CompilerServices;

namespace Quorumail.Core.Smtp;

/// <summary>What the first line of a message is.</summary>
internal enum FirstLine : byte
{
    /// <summary>That can't be told yet.</summary>
    Undecided = 0,

    /// <summary>A header field, or the envelope line of a mailbox file ("From joe Mon Nov 23 …") that readers take for one.</summary>
    Field = 1,

    /// <summary>Something else: the message has no header section.</summary>
    Text = 2,
}

/// <summary>
/// Follows the header section of a message line by line, without keeping it: counts what the server must know. Lines come
/// in parts, as they arrive.
/// </summary>
internal struct HeaderScanner
{
    private const int NameMax = 12;

    // Octets of the first line that are looked at for its colon; no field has a longer name.
    internal const int FirstLineMax = 200;

    private NameBuffer _name;
    private int _nameLength;
    private bool _hasColon;
    private bool _hasSpace;
    private int _judged;

    /// <summary>What the first line is.</summary>
    public FirstLine First { get; private set; }

    /// <summary>Octets by which the first line was decided, or that have not decided it.</summary>
    public int Judged => _judged;

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

        if (First == FirstLine.Undecided)
        {
            Judge(part);
        }

        _hasColon = part.Contains((byte)':');
    }

    /// <summary>Takes the end of a line that is not empty, once; false if the line is no header line, so that the body has begun.</summary>
    public bool EndLine()
    {
        if (First == FirstLine.Undecided)
        {
            First = FirstLine.Text;
        }

        if (First == FirstLine.Text)
        {
            return false;
        }

        var start = ((ReadOnlySpan<byte>)_name)[.._nameLength];
        var hasColon = _hasColon;
        _nameLength = 0;
        _hasColon = false;
        if (start.IsEmpty || start[0] is (byte)' ' or (byte)'\t')
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

    /// <summary>Looks for the name of a field and its colon (RFC 5322 2.2; white space between them is obsolete and allowed, 4.5).</summary>
    private void Judge(ReadOnlySpan<byte> part)
    {
        foreach (var octet in part)
        {
            _judged++;
            if (octet == ':')
            {
                First = _judged > 1 ? FirstLine.Field : FirstLine.Text;
                return;
            }

            var isSpace = octet is (byte)' ' or (byte)'\t';
            var mayStand = isSpace ? _judged > 1 : octet is > (byte)' ' and <= (byte)'~' && (!_hasSpace || IsEnvelopeLine());
            _hasSpace |= isSpace;
            if (!mayStand || _judged >= FirstLineMax)
            {
                First = FirstLine.Text;
                return;
            }
        }
    }

    private readonly bool IsEnvelopeLine()
    {
        var start = ((ReadOnlySpan<byte>)_name)[.._nameLength];
        return start.StartsWith("From "u8) || start.StartsWith(">From "u8);
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
