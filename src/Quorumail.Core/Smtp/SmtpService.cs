using System.Globalization;
using System.Text;

namespace Quorumail.Core.Smtp;

/// <summary>What all sessions of a listener share: its role, its limits and its prepared replies. Immutable.</summary>
public sealed class SmtpService
{
    private readonly byte[][] _hello = new byte[4][];

    /// <param name="hostname">Our name in greetings and trace fields.</param>
    /// <param name="role">What the listener is for.</param>
    /// <param name="limits">Every limit.</param>
    public SmtpService(string hostname, SmtpRole role, SmtpLimits limits)
    {
        ArgumentException.ThrowIfNullOrEmpty(hostname);
        ArgumentNullException.ThrowIfNull(limits);
        Hostname = Printable.Ascii(hostname, MailPathDomainMax);
        Role = role;
        Limits = limits;
        GreetingReply = new SmtpReply(220, string.Empty, $"{Hostname} ESMTP Quorumail");
        HeloReply = new SmtpReply(250, string.Empty, Hostname);
        for (var i = 0; i < _hello.Length; i++)
        {
            _hello[i] = MakeHello(offersTls: (i & 1) != 0, offersAuthentication: (i & 2) != 0);
        }
    }

    private const int MailPathDomainMax = Mail.MailPath.DomainMax;

    /// <summary>Our name.</summary>
    public string Hostname { get; }

    /// <summary>What the listener is for.</summary>
    public SmtpRole Role { get; }

    /// <summary>Every limit.</summary>
    public SmtpLimits Limits { get; }

    /// <summary>A bare CR or LF in a message becomes CRLF instead of refusing it.</summary>
    public bool NormalizesLineEnds { get; init; }

    /// <summary>220.</summary>
    public SmtpReply GreetingReply { get; }

    /// <summary>250 to HELO.</summary>
    public SmtpReply HeloReply { get; }

    /// <summary>250 to EHLO.</summary>
    public ReadOnlySpan<byte> EhloReply(bool offersTls, bool offersAuthentication) =>
        _hello[(offersTls ? 1 : 0) | (offersAuthentication ? 2 : 0)];

    private byte[] MakeHello(bool offersTls, bool offersAuthentication)
    {
        string[] lines =
        [
            Hostname,
            "PIPELINING",
            string.Create(CultureInfo.InvariantCulture, $"SIZE {Limits.MessageSizeMax}"),
            .. offersTls ? ["STARTTLS"] : Array.Empty<string>(),
            .. offersAuthentication ? ["AUTH PLAIN LOGIN SCRAM-SHA-256"] : Array.Empty<string>(),
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
            "CHUNKING",
        ];
        var text = new StringBuilder();
        for (var i = 0; i < lines.Length; i++)
        {
            text.Append("250").Append(i + 1 < lines.Length ? '-' : ' ').Append(lines[i]).Append("\r\n");
        }

        return Encoding.ASCII.GetBytes(text.ToString());
    }
}
