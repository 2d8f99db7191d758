namespace Quorumail.Core.Smtp;

/// <summary>Every limit of receiving mail, with its default, unit and origin.</summary>
public sealed record SmtpLimits
{
    /// <summary>The defaults.</summary>
    public static SmtpLimits Default { get; } = new();

    /// <summary>Octets of a command line with its CRLF. Default 512 (RFC 5321 4.5.3.1.4).</summary>
    public int CommandLineMax { get; init; } = 512;

    /// <summary>
    /// Octets that MAIL and RCPT lines may have beyond <see cref="CommandLineMax"/>. Default 1024: SIZE 26 (RFC 1870), BODY 17
    /// (RFC 6152), SMTPUTF8 10 (RFC 6531), AUTH 500 (RFC 4954), RET and ENVID 115, NOTIFY and ORCPT 535 (RFC 3461).
    /// </summary>
    public int ExtensionLineMax { get; init; } = 1024;

    /// <summary>Octets of an AUTH command or response line. Default 12 288 (RFC 4954 section 4).</summary>
    public int AuthenticationLineMax { get; init; } = 12_288;

    /// <summary>Octets of one over-long line that are read and thrown away before the connection is closed. Default 64 KiB (ours).</summary>
    public int EndlessLineMax { get; init; } = 64 * 1024;

    /// <summary>Octets of a message as received. Default 50 MiB (ours); announced by SIZE.</summary>
    public long MessageSizeMax { get; init; } = 50L * 1024 * 1024;

    /// <summary>Octets of a header section. Default 256 KiB (ours; Postfix has 100 KiB).</summary>
    public int HeaderSizeMax { get; init; } = 256 * 1024;

    /// <summary>Octets of a text line with its CRLF; 0 for no limit. Default 1000 (RFC 5321 4.5.3.1.6).</summary>
    public int TextLineMax { get; init; } = 1000;

    /// <summary>Received fields in a message. Default 50 (Postfix; RFC 5321 6.3 asks for at least 100 "hops" or a lower sensible bound).</summary>
    public int ReceivedFieldsMax { get; init; } = 50;

    /// <summary>Recipients of a message. Default 1000 (RFC 5321 4.5.3.1.8 asks for at least 100).</summary>
    public int RecipientsMax { get; init; } = 1000;

    /// <summary>Octets of all addresses and options of an envelope. Default 900 000, so that it fits into one log command.</summary>
    public int EnvelopeOctetsMax { get; init; } = 900_000;

    /// <summary>Negative replies (4yz, 5yz) before 421, counted since the last accepted message. Default 20 (Postfix).</summary>
    public int ErrorsMax { get; init; } = 20;

    /// <summary>
    /// Recipients put off (4yz) before each counts as an error, since the last accepted message. Default 1000 (ours): a client that
    /// has more recipients than a message may have goes through all of them, as RFC 5321 4.5.3.1.10 wants.
    /// </summary>
    public int DeferredRecipientsMax { get; init; } = 1000;

    /// <summary>Commands without a message (NOOP, RSET, VRFY, HELP, EHLO) before each counts as an error. Default 100 (Postfix).</summary>
    public int IdleCommandsMax { get; init; } = 100;

    /// <summary>Failed authentications before 421. Default 3 (ours).</summary>
    public int AuthenticationFailuresMax { get; init; } = 3;
}
