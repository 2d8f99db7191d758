using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Quorumail.Core.Smtp;

/// <summary>What <see cref="ProxyHeader.Read"/> found.</summary>
public enum ProxyHeaderStatus
{
    /// <summary>Not all of it has arrived.</summary>
    NeedInput = 0,

    /// <summary>A whole header; the input stands behind it.</summary>
    Complete = 1,

    /// <summary>Not a PROXY header: close without a word.</summary>
    Invalid = 2,
}

/// <summary>
/// Reads the header that a load balancer sends first: PROXY protocol version 1 (text) and 2 (binary), after the
/// specification of HAProxy.
/// </summary>
public static class ProxyHeader
{
    private const int TextMax = 107;
    private const int BinaryHeadLength = 16;

    // Addresses take up to 216 octets; the rest is room for extensions, which are skipped.
    private const int BinaryBodyMax = 2048;

    private static ReadOnlySpan<byte> Signature => "\r\n\r\n\0\r\nQUIT\n"u8;

    /// <summary>Reads the header at the start of the input and takes it out.</summary>
    /// <param name="input">What has arrived.</param>
    /// <param name="client">Where the client is; null if the proxy speaks for itself (health checks) or doesn't know.</param>
    public static ProxyHeaderStatus Read(ref ReadOnlySequence<byte> input, out IPEndPoint? client)
    {
        client = null;
        Span<byte> head = stackalloc byte[TextMax + BinaryHeadLength];
        var length = (int)Math.Min(input.Length, head.Length);
        input.Slice(0, length).CopyTo(head);
        head = head[..length];
        if (head.IsEmpty)
        {
            return ProxyHeaderStatus.NeedInput;
        }

        return head[0] == Signature[0] ? ReadBinary(ref input, head, out client) : ReadText(ref input, head, out client);
    }

    private static ProxyHeaderStatus ReadText(ref ReadOnlySequence<byte> input, ReadOnlySpan<byte> head, out IPEndPoint? client)
    {
        client = null;
        var known = Math.Min(head.Length, 6);
        if (!head[..known].SequenceEqual("PROXY "u8[..known]))
        {
            return ProxyHeaderStatus.Invalid;
        }

        var end = head.IndexOf("\r\n"u8);
        if (end < 0)
        {
            return head.Length >= TextMax ? ProxyHeaderStatus.Invalid : ProxyHeaderStatus.NeedInput;
        }

        if (end + 2 > TextMax)
        {
            return ProxyHeaderStatus.Invalid;
        }

        input = input.Slice(end + 2);
        var line = head[6..end];
        if (line.StartsWith("UNKNOWN"u8) && (line.Length == 7 || line[7] == ' '))
        {
            return ProxyHeaderStatus.Complete;
        }

        var parts = Encoding.Latin1.GetString(line).Split(' ');
        var isSix = parts[0] == "TCP6";
        if (parts.Length != 5 || !(isSix || parts[0] == "TCP4")
            || !TryReadAddress(parts[1], isSix, out var source) || !TryReadAddress(parts[2], isSix, out _)
            || !TryReadPort(parts[3], out var port) || !TryReadPort(parts[4], out _))
        {
            return ProxyHeaderStatus.Invalid;
        }

        client = new IPEndPoint(source, port);
        return ProxyHeaderStatus.Complete;
    }

    private static ProxyHeaderStatus ReadBinary(ref ReadOnlySequence<byte> input, ReadOnlySpan<byte> head, out IPEndPoint? client)
    {
        client = null;
        var known = Math.Min(head.Length, Signature.Length);
        if (!head[..known].SequenceEqual(Signature[..known]))
        {
            return ProxyHeaderStatus.Invalid;
        }

        if (head.Length < BinaryHeadLength)
        {
            return ProxyHeaderStatus.NeedInput;
        }

        var length = BinaryPrimitives.ReadUInt16BigEndian(head[14..]);
        var command = head[12];
        if (command >> 4 != 2 || (command & 0xF) > 1 || length > BinaryBodyMax)
        {
            return ProxyHeaderStatus.Invalid;
        }

        if (input.Length < BinaryHeadLength + length)
        {
            return ProxyHeaderStatus.NeedInput;
        }

        Span<byte> body = stackalloc byte[36];
        var kept = Math.Min((int)length, body.Length);
        input.Slice(BinaryHeadLength, kept).CopyTo(body);
        input = input.Slice(BinaryHeadLength + length);
        if ((command & 0xF) == 0)
        {
            return ProxyHeaderStatus.Complete;
        }

        switch (head[13])
        {
            case 0x11 when length >= 12:
                client = new IPEndPoint(new IPAddress(body[..4]), BinaryPrimitives.ReadUInt16BigEndian(body[8..]));
                return ProxyHeaderStatus.Complete;
            case 0x21 when length >= 36:
                client = new IPEndPoint(new IPAddress(body[..16]), BinaryPrimitives.ReadUInt16BigEndian(body[32..]));
                return ProxyHeaderStatus.Complete;
            case 0x00:
                return ProxyHeaderStatus.Complete;
            default:
                return ProxyHeaderStatus.Invalid;
        }
    }

    private static bool TryReadAddress(string text, bool isSix, out IPAddress address)
    {
        address = IPAddress.None;
        var mayStand = isSix
            ? text.Contains(':', StringComparison.Ordinal) && !text.AsSpan().ContainsAny("%[]/")
            : text.Count(c => c == '.') == 3 && text.All(c => c is '.' or (>= '0' and <= '9'));
        return mayStand && IPAddress.TryParse(text, out address!);
    }

    private static bool TryReadPort(string text, out ushort port) =>
        ushort.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out port);
}
