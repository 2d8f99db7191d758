using System.Buffers;
using System.Buffers.Text;
using System.Net;
using System.Text;
using System.Text.Unicode;

namespace Quorumail.Core.Mail;

/// <summary>
/// A reverse-path or forward-path (RFC 5321 4.1.2, RFC 6531 3.3), read strictly: a source route is checked and dropped,
/// a quoted local part that needs no quotes loses them, a domain ends without a dot, a literal holds a real address.
/// </summary>
/// <param name="Address">local-part@domain as it is sent on; the empty string for &lt;&gt;; without "@" for &lt;postmaster&gt;.</param>
/// <param name="LocalPartLength">Length of the local part, quotes included; what follows it is "@" and the domain.</param>
public readonly record struct MailPath(string Address, int LocalPartLength)
{
    /// <summary>Octets of a local part (RFC 5321 4.5.3.1.1).</summary>
    public const int LocalPartMax = 64;

    /// <summary>Octets of a domain (RFC 5321 4.5.3.1.2).</summary>
    public const int DomainMax = 255;

    /// <summary>Octets of a path with its brackets (RFC 5321 4.5.3.1.3).</summary>
    public const int PathMax = 256;

    private static readonly SearchValues<byte> AtomOctets = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~"u8);

    private static readonly SearchValues<byte> DomainOctets = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."u8);

    /// <summary>Whether this is the null reverse-path.</summary>
    public bool IsNull => Address.Length == 0;

    /// <summary>Whether the path names no domain: &lt;postmaster&gt;.</summary>
    public bool HasNoDomain => LocalPartLength == Address.Length;

    /// <summary>The part before the last "@", quotes included.</summary>
    public ReadOnlySpan<char> LocalPart => Address.AsSpan(0, LocalPartLength);

    /// <summary>The part after the last "@", or empty.</summary>
    public ReadOnlySpan<char> Domain => HasNoDomain ? default : Address.AsSpan(LocalPartLength + 1);

    /// <summary>Reads an address without brackets, as it stands in a configuration.</summary>
    public static bool TryParseAddress(string text, out MailPath path)
    {
        ArgumentNullException.ThrowIfNull(text);
        var octets = Encoding.UTF8.GetBytes(text);
        var fault = ParseMailbox(octets, allowsUtf8: true, allowsNoDomain: false, out path, out var used);
        return fault == AddressFault.None && used == octets.Length;
    }

    /// <summary>Reads a path in brackets at the start of <paramref name="text"/>.</summary>
    /// <param name="text">What follows "FROM:" or "TO:".</param>
    /// <param name="isReverse">Allows &lt;&gt;; otherwise &lt;postmaster&gt; is allowed.</param>
    /// <param name="allowsUtf8">Whether octets above 127 may stand in it.</param>
    /// <param name="path">What was read.</param>
    /// <param name="used">Octets read, brackets included.</param>
    public static AddressFault Parse(
        ReadOnlySpan<byte> text, bool isReverse, bool allowsUtf8, out MailPath path, out int used)
    {
        path = new MailPath(string.Empty, 0);
        used = 0;
        if (text.Length < 2 || text[0] != '<')
        {
            return AddressFault.Syntax;
        }

        if (text[1] == '>')
        {
            used = 2;
            return isReverse ? AddressFault.None : AddressFault.Syntax;
        }

        var position = 1;
        if (text[1] == '@' && !SkipSourceRoute(text, ref position))
        {
            return AddressFault.Syntax;
        }

        var fault = ParseMailbox(text[position..], allowsUtf8, allowsNoDomain: !isReverse, out path, out var mailbox);
        position += mailbox;
        if (fault != AddressFault.None)
        {
            return fault;
        }

        used = position + 1;
        return position < text.Length && text[position] == '>' && mailbox + 2 <= PathMax
            ? AddressFault.None
            : AddressFault.Syntax;
    }

    /// <summary>The local part without quotes and quoting backslashes: what two spellings of one mailbox share.</summary>
    public string UnquotedLocalPart()
    {
        var local = LocalPart;
        if (local.Length < 2 || local[0] != '"')
        {
            return local.ToString();
        }

        var plain = new StringBuilder(local.Length);
        for (var i = 1; i < local.Length - 1; i++)
        {
            i += local[i] == '\\' ? 1 : 0;
            plain.Append(local[i]);
        }

        return plain.ToString();
    }

    /// <summary>Goes past "@a,@b:" (RFC 5321 4.1.1.3: obsolete, and to be ignored).</summary>
    private static bool SkipSourceRoute(ReadOnlySpan<byte> text, ref int position)
    {
        while (true)
        {
            if (position >= text.Length || text[position] != '@')
            {
                return false;
            }

            position++;
            var length = DomainLength(text[position..], allowsUtf8: false);
            position += length;
            if (length == 0 || position >= text.Length)
            {
                return false;
            }

            switch (text[position++])
            {
                case (byte)':':
                    return true;
                case (byte)',':
                    continue;
                default:
                    return false;
            }
        }
    }

    private static AddressFault ParseMailbox(
        ReadOnlySpan<byte> text, bool allowsUtf8, bool allowsNoDomain, out MailPath path, out int used)
    {
        path = new MailPath(string.Empty, 0);
        var isQuoted = text.Length > 0 && text[0] == '"';
        var local = isQuoted ? QuotedLength(text) : DotStringLength(text);
        used = local;
        if (local is 0 or > LocalPartMax)
        {
            return AddressFault.Syntax;
        }

        if (local >= text.Length || text[local] != '@')
        {
            path = new MailPath(Encoding.ASCII.GetString(text[..local]), local);
            return allowsNoDomain && Ascii.EqualsIgnoreCase(text[..local], "postmaster"u8)
                ? AddressFault.None
                : AddressFault.Syntax;
        }

        var domain = DomainLength(text[(local + 1)..], allowsUtf8: true);
        used = local + 1 + domain;
        if (domain is 0 or > DomainMax)
        {
            return AddressFault.Syntax;
        }

        var address = text[..used];
        if (!Ascii.IsValid(address))
        {
            if (!IsPlainUtf8(address))
            {
                return AddressFault.Syntax;
            }

            if (!allowsUtf8)
            {
                return AddressFault.NeedsUtf8;
            }
        }

        path = isQuoted ? Unquote(address, local) : Plain(address, local);
        return AddressFault.None;
    }

    private static MailPath Plain(ReadOnlySpan<byte> address, int local)
    {
        var text = Encoding.UTF8.GetString(address);
        return new MailPath(text, text.Length == address.Length ? local : Encoding.UTF8.GetCharCount(address[..local]));
    }

    /// <summary>"joe"@x is joe@x (RFC 5321 4.1.2: the sender should not quote what needs no quotes).</summary>
    private static MailPath Unquote(ReadOnlySpan<byte> address, int local)
    {
        var inside = address[1..(local - 1)];
        if (inside.IsEmpty || DotStringLength(inside) != inside.Length)
        {
            return Plain(address, local);
        }

        Span<byte> plain = stackalloc byte[address.Length - 2];
        inside.CopyTo(plain);
        address[local..].CopyTo(plain[inside.Length..]);
        return Plain(plain, inside.Length);
    }

    /// <summary>Octets of the dot-string at the start: atoms joined by single dots; 0 if there is none.</summary>
    private static int DotStringLength(ReadOnlySpan<byte> text)
    {
        var position = 0;
        while (true)
        {
            var start = position;
            while (position < text.Length && (text[position] >= 0x80 || AtomOctets.Contains(text[position])))
            {
                position++;
            }

            if (position == start)
            {
                return 0;
            }

            if (position >= text.Length || text[position] != '.')
            {
                return position;
            }

            position++;
        }
    }

    /// <summary>Octets of the quoted string at the start, quotes included; 0 if it has no end or holds a control character.</summary>
    private static int QuotedLength(ReadOnlySpan<byte> text)
    {
        for (var i = 1; i < text.Length; i++)
        {
            switch (text[i])
            {
                case (byte)'"':
                    return i + 1;
                case (byte)'\\' when i + 1 < text.Length && text[i + 1] is >= 32 and <= 126:
                    i++;
                    break;
                case (byte)'\\' or < 32 or 127:
                    return 0;
            }
        }

        return 0;
    }

    /// <summary>Octets of the domain or address literal at the start; 0 if there is none.</summary>
    private static int DomainLength(ReadOnlySpan<byte> text, bool allowsUtf8)
    {
        if (text.Length > 0 && text[0] == '[')
        {
            return LiteralLength(text);
        }

        var length = 0;
        while (length < text.Length && ((allowsUtf8 && text[length] >= 0x80) || DomainOctets.Contains(text[length])))
        {
            length++;
        }

        foreach (var range in text[..length].Split((byte)'.'))
        {
            var label = text[..length][range];
            if (label.Length is 0 or > 63 || label[0] == '-' || label[^1] == '-')
            {
                return 0;
            }
        }

        return length;
    }

    private static int LiteralLength(ReadOnlySpan<byte> text)
    {
        var end = text.IndexOf((byte)']');
        if (end is < 0 or > 60)
        {
            return 0;
        }

        var inside = text[1..end];
        var isSix = inside.Length > 5 && Ascii.EqualsIgnoreCase(inside[..5], "IPv6:"u8);
        Span<char> chars = stackalloc char[60];
        var count = Encoding.Latin1.GetChars(isSix ? inside[5..] : inside, chars);
        var address = chars[..count];
        if (isSix)
        {
            return !address.ContainsAny('%', '[', '/') && address.Contains(':') && IPAddress.TryParse(address, out _) ? end + 1 : 0;
        }

        return IsDottedQuad(inside) ? end + 1 : 0;
    }

    private static bool IsDottedQuad(ReadOnlySpan<byte> text)
    {
        var parts = 0;
        foreach (var range in text.Split((byte)'.'))
        {
            var part = text[range];
            if (part.Length is 0 or > 3 || !Utf8Parser.TryParse(part, out byte _, out var used) || used != part.Length)
            {
                return false;
            }

            parts++;
        }

        return parts == 4;
    }

    /// <summary>Valid UTF-8 without control characters and line or paragraph separators.</summary>
    private static bool IsPlainUtf8(ReadOnlySpan<byte> text)
    {
        if (!Utf8.IsValid(text))
        {
            return false;
        }

        while (!text.IsEmpty)
        {
            Rune.DecodeFromUtf8(text, out var rune, out var used);
            if (Rune.GetUnicodeCategory(rune) is System.Globalization.UnicodeCategory.Control
                or System.Globalization.UnicodeCategory.Format
                or System.Globalization.UnicodeCategory.LineSeparator
                or System.Globalization.UnicodeCategory.ParagraphSeparator
                or System.Globalization.UnicodeCategory.SpaceSeparator && rune.Value > 127)
            {
                return false;
            }

            text = text[used..];
        }

        return true;
    }
}
