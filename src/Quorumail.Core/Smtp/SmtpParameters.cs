using System.Buffers.Text;
using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Smtp;

/// <summary>The parameters of MAIL and RCPT (RFC 1870, 3461, 4954, 6152, 6531).</summary>
internal struct SmtpParameters
{
    private const int EnvelopeIdMax = 100;
    private const int OriginalRecipientMax = 500;
    private Seen _seen;

    [Flags]
    private enum Seen
    {
        None = 0,
        Size = 1,
        Body = 2,
        Utf8 = 4,
        Return = 8,
        EnvelopeId = 16,
        Auth = 32,
        Notify = 64,
        OriginalRecipient = 128,
    }

    /// <summary>SIZE, or 0.</summary>
    public long Size { get; private set; }

    /// <summary>What BODY and SMTPUTF8 declared.</summary>
    public BodyTraits Declared { get; private set; }

    /// <summary>RET.</summary>
    public DsnReturn Return { get; private set; }

    /// <summary>ENVID, in xtext.</summary>
    public string? EnvelopeId { get; private set; }

    /// <summary>NOTIFY.</summary>
    public DsnNotify Notify { get; private set; }

    /// <summary>ORCPT, with its type, in xtext.</summary>
    public string? OriginalRecipient { get; private set; }

    /// <summary>Reads the parameters of MAIL; null, or what to answer.</summary>
    public SmtpReply? ReadMail(ReadOnlySpan<byte> text)
    {
        while (TakeNext(ref text, out var keyword, out var value, out var hasValue))
        {
            var fault = keyword.Length switch
            {
                4 when Is(keyword, "SIZE"u8) => Once(Seen.Size) ?? ReadSize(value),
                4 when Is(keyword, "BODY"u8) => Once(Seen.Body) ?? ReadBody(value),
                8 when Is(keyword, "SMTPUTF8"u8) => Once(Seen.Utf8) ?? ReadUtf8(hasValue),
                3 when Is(keyword, "RET"u8) => Once(Seen.Return) ?? ReadReturn(value),
                5 when Is(keyword, "ENVID"u8) => Once(Seen.EnvelopeId) ?? ReadEnvelopeId(value),

                // Who first submitted the message: trusted from nobody, so that it only has to be well-formed.
                4 when Is(keyword, "AUTH"u8) => Once(Seen.Auth) ?? (value.SequenceEqual("<>"u8) || IsXtext(value) ? null : SmtpReplies.Syntax),
                _ => SmtpReplies.UnknownParameter,
            };
            if (fault is not null)
            {
                return fault;
            }
        }

        return text.IsEmpty ? null : SmtpReplies.Syntax;
    }

    /// <summary>Reads the parameters of RCPT; null, or what to answer.</summary>
    public SmtpReply? ReadRecipient(ReadOnlySpan<byte> text, bool allowsUtf8)
    {
        while (TakeNext(ref text, out var keyword, out var value, out _))
        {
            var fault = keyword.Length switch
            {
                6 when Is(keyword, "NOTIFY"u8) => Once(Seen.Notify) ?? ReadNotify(value),
                5 when Is(keyword, "ORCPT"u8) => Once(Seen.OriginalRecipient) ?? ReadOriginalRecipient(value, allowsUtf8),
                _ => SmtpReplies.UnknownParameter,
            };
            if (fault is not null)
            {
                return fault;
            }
        }

        return text.IsEmpty ? null : SmtpReplies.Syntax;
    }

    private static bool Is(ReadOnlySpan<byte> keyword, ReadOnlySpan<byte> name) => Ascii.EqualsIgnoreCase(keyword, name);

    /// <summary>Takes " keyword[=value]" off the start; false, with the rest untouched, if there is none.</summary>
    private static bool TakeNext(
        ref ReadOnlySpan<byte> text, out ReadOnlySpan<byte> keyword, out ReadOnlySpan<byte> value, out bool hasValue)
    {
        keyword = default;
        value = default;
        hasValue = false;
        var rest = text.TrimStart((byte)' ');
        if (rest.IsEmpty)
        {
            text = rest;
            return false;
        }

        if (rest.Length == text.Length)
        {
            return false;
        }

        var end = rest.IndexOf((byte)' ');
        keyword = end < 0 ? rest : rest[..end];
        text = end < 0 ? default : rest[end..];
        var equals = keyword.IndexOf((byte)'=');
        if (equals >= 0)
        {
            hasValue = true;
            value = keyword[(equals + 1)..];
            keyword = keyword[..equals];
        }

        return true;
    }

    private SmtpReply? Once(Seen parameter)
    {
        if ((_seen & parameter) != Seen.None)
        {
            return SmtpReplies.Syntax;
        }

        _seen |= parameter;
        return null;
    }

    private SmtpReply? ReadSize(ReadOnlySpan<byte> value)
    {
        // RFC 1870: up to 20 digits; more than fits a long is more than any limit.
        if (value.Length is 0 or > 20 || value.ContainsAnyExceptInRange((byte)'0', (byte)'9'))
        {
            return SmtpReplies.Syntax;
        }

        Size = Utf8Parser.TryParse(value, out long size, out _) ? size : long.MaxValue;
        return null;
    }

    private SmtpReply? ReadBody(ReadOnlySpan<byte> value)
    {
        if (Is(value, "8BITMIME"u8))
        {
            Declared |= BodyTraits.DeclaredEightBit;
            return null;
        }

        return Is(value, "7BIT"u8) ? null : Is(value, "BINARYMIME"u8) ? SmtpReplies.BinaryMime : SmtpReplies.Syntax;
    }

    private SmtpReply? ReadUtf8(bool hasValue)
    {
        Declared |= BodyTraits.DeclaredSmtpUtf8;
        return hasValue ? SmtpReplies.Syntax : null;
    }

    private SmtpReply? ReadReturn(ReadOnlySpan<byte> value)
    {
        Return = Is(value, "FULL"u8) ? DsnReturn.Full : Is(value, "HDRS"u8) ? DsnReturn.Headers : DsnReturn.Unspecified;
        return Return == DsnReturn.Unspecified ? SmtpReplies.Syntax : null;
    }

    private SmtpReply? ReadEnvelopeId(ReadOnlySpan<byte> value)
    {
        if (value.Length is 0 or > EnvelopeIdMax || !IsXtext(value))
        {
            return SmtpReplies.Syntax;
        }

        EnvelopeId = Encoding.ASCII.GetString(value);
        return null;
    }

    private SmtpReply? ReadNotify(ReadOnlySpan<byte> value)
    {
        foreach (var range in value.Split((byte)','))
        {
            var item = value[range];
            Notify |= item.Length switch
            {
                5 when Is(item, "NEVER"u8) => DsnNotify.Never,
                7 when Is(item, "SUCCESS"u8) => DsnNotify.Success,
                7 when Is(item, "FAILURE"u8) => DsnNotify.Failure,
                5 when Is(item, "DELAY"u8) => DsnNotify.Delay,
                _ => (DsnNotify)Malformed,
            };
        }

        var isAlone = (Notify & DsnNotify.Never) == DsnNotify.Unspecified || Notify == DsnNotify.Never;
        return isAlone && ((int)Notify & Malformed) == 0 ? null : SmtpReplies.Syntax;
    }

    private const int Malformed = 1 << 16;

    private SmtpReply? ReadOriginalRecipient(ReadOnlySpan<byte> value, bool allowsUtf8)
    {
        var semicolon = value.IndexOf((byte)';');
        if (semicolon <= 0 || value.Length > OriginalRecipientMax || value[..semicolon].ContainsAnyExceptInRange((byte)'!', (byte)'~'))
        {
            return SmtpReplies.Syntax;
        }

        var address = value[(semicolon + 1)..];
        var isUtf8 = allowsUtf8 && !Ascii.IsValid(address) && System.Text.Unicode.Utf8.IsValid(address)
            && !address.ContainsAnyInRange((byte)0, (byte)' ') && !address.Contains((byte)127) && !HasControls(address);
        if (address.IsEmpty || !(isUtf8 || IsXtext(address)))
        {
            return SmtpReplies.Syntax;
        }

        OriginalRecipient = Encoding.UTF8.GetString(value);
        return null;
    }

    private static bool HasControls(ReadOnlySpan<byte> text)
    {
        while (!text.IsEmpty)
        {
            Rune.DecodeFromUtf8(text, out var rune, out var used);
            if (Rune.IsControl(rune) || Rune.IsWhiteSpace(rune))
            {
                return true;
            }

            text = text[used..];
        }

        return false;
    }

    /// <summary>RFC 3461 section 4: printable ASCII without "+" and "=", or "+" and two upper-case hexadecimal digits.</summary>
    private static bool IsXtext(ReadOnlySpan<byte> text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            switch (text[i])
            {
                case (byte)'+' when i + 2 < text.Length && char.IsAsciiHexDigit((char)text[i + 1]) && char.IsAsciiHexDigit((char)text[i + 2]):
                    i += 2;
                    break;
                case (byte)'+' or (byte)'=' or < 33 or > 126:
                    return false;
            }
        }

        return true;
    }
}
