using System.Buffers;
using System.Globalization;
using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Delivery.Client;

/// <summary>Writes MAIL and RCPT with the parameters that the next hop offers.</summary>
internal static class EnvelopeCommands
{
    /// <summary>Most characters of an ENVID (RFC 3461 4.4: 100) and of an ORCPT value (500).</summary>
    private const int EnvelopeIdMax = 100;
    private const int OriginalRecipientMax = 500;

    /// <summary>Nothing that ends a line, a path or a word, except inside what quoting allows: no control characters, no angle brackets.</summary>
    private static readonly SearchValues<char> Unsafe = SearchValues.Create(
        "\0\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008\t\n\u000b\u000c\r\u000e\u000f\u0010\u0011\u0012\u0013\u0014\u0015\u0016"
        + "\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f\u007f\u0080\u0085\u2028\u2029");

    /// <summary>Whether an address can stand between angle brackets in a command.</summary>
    public static bool IsSafe(string address)
    {
        if (address.AsSpan().ContainsAny(Unsafe))
        {
            return false;
        }

        var quoted = false;
        for (var i = 0; i < address.Length; i++)
        {
            switch (address[i])
            {
                case '"':
                    quoted = !quoted;
                    break;
                case '\\' when quoted:
                    i++;
                    break;
                case ' ' or '<' or '>' when !quoted:
                    return false;
            }
        }

        return !quoted;
    }

    public static void WriteMail(IBufferWriter<byte> output, ClientTransaction transaction, EhloCapabilities offered)
    {
        Write(output, "MAIL FROM:<");
        Write(output, transaction.ReversePath);
        Write(output, ">");
        if (offered.Size)
        {
            Write(output, " SIZE=");
            WriteNumber(output, transaction.Size);
        }

        if (offered.EightBitMime && transaction.NeedsEightBit)
        {
            Write(output, " BODY=8BITMIME");
        }

        if (offered.SmtpUtf8
            && (transaction.NeedsSmtpUtf8 || (transaction.Traits & BodyTraits.DeclaredSmtpUtf8) != BodyTraits.None))
        {
            Write(output, " SMTPUTF8");
        }

        if (offered.Dsn)
        {
            Write(output, transaction.Return switch
            {
                DsnReturn.Full => " RET=FULL",
                DsnReturn.Headers => " RET=HDRS",
                _ => string.Empty,
            });
            if (transaction.EnvelopeId is { Length: > 0 and <= EnvelopeIdMax } id && IsWord(id))
            {
                Write(output, " ENVID=");
                Write(output, id);
            }
        }

        Write(output, "\r\n");
    }

    public static void WriteRecipient(IBufferWriter<byte> output, EnvelopeRecipient recipient, EhloCapabilities offered)
    {
        Write(output, "RCPT TO:<");
        Write(output, recipient.Address);
        Write(output, ">");
        if (offered.Dsn)
        {
            if (recipient.Notify != DsnNotify.Unspecified)
            {
                Write(output, " NOTIFY=");
                Write(output, NotifyText(recipient.Notify));
            }

            if (recipient.OriginalRecipient is { Length: > 0 and <= OriginalRecipientMax } original && IsWord(original))
            {
                Write(output, " ORCPT=");
                Write(output, original);
            }
        }

        Write(output, "\r\n");
    }

    public static void Write(IBufferWriter<byte> output, string text)
    {
        var length = Encoding.UTF8.GetBytes(text, output.GetSpan(Encoding.UTF8.GetMaxByteCount(text.Length)));
        output.Advance(length);
    }

    private static void WriteNumber(IBufferWriter<byte> output, long number)
    {
        number.TryFormat(output.GetSpan(20), out var length, provider: CultureInfo.InvariantCulture);
        output.Advance(length);
    }

    private static bool IsWord(string text) => !text.AsSpan().ContainsAnyExceptInRange('!', '~');

    private static string NotifyText(DsnNotify notify)
    {
        if ((notify & DsnNotify.Never) != DsnNotify.Unspecified)
        {
            return "NEVER";
        }

        return (notify & (DsnNotify.Success | DsnNotify.Failure | DsnNotify.Delay)) switch
        {
            DsnNotify.Success => "SUCCESS",
            DsnNotify.Failure => "FAILURE",
            DsnNotify.Delay => "DELAY",
            DsnNotify.Success | DsnNotify.Failure => "SUCCESS,FAILURE",
            DsnNotify.Success | DsnNotify.Delay => "SUCCESS,DELAY",
            DsnNotify.Failure | DsnNotify.Delay => "FAILURE,DELAY",
            _ => "SUCCESS,FAILURE,DELAY",
        };
    }
}
