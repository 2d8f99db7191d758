namespace Quorumail.Core.Delivery.Client;

/// <summary>Every limit of the delivering side of SMTP and LMTP, each with its origin.</summary>
public sealed record SmtpClientLimits
{
    /// <summary>The defaults.</summary>
    public static SmtpClientLimits Default { get; } = new();

    /// <summary>Longest reply line, in octets without its end. RFC 5321 4.5.3.1.5 says 512; four times that is generous.</summary>
    public int ReplyLineMax { get; init; } = 2048;

    /// <summary>Most lines of one reply. An EHLO reply has about 20.</summary>
    public int ReplyLinesMax { get; init; } = 100;

    /// <summary>Most recipients of one transaction (RFC 5321 4.5.3.1.8: a server must take 100).</summary>
    public int RecipientsMax { get; init; } = 100;

    /// <summary>Most SCRAM iterations that a server may ask of us (RFC 7677: at least 4096; more than this costs too much CPU).</summary>
    public int ScramIterationsMax { get; init; } = 500_000;

    /// <summary>Until the TCP connection stands. RFC 5321 gives none; one unreachable address must not hold the next up for long.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Until the 220 greeting (RFC 5321 4.5.3.2.1: 5 minutes).</summary>
    public TimeSpan GreetingTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>EHLO, HELO, STARTTLS, AUTH and MAIL (RFC 5321 4.5.3.2.2: 5 minutes for MAIL).</summary>
    public TimeSpan CommandTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>RCPT (RFC 5321 4.5.3.2.3: 5 minutes).</summary>
    public TimeSpan RecipientTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Until 354 (RFC 5321 4.5.3.2.4: 2 minutes).</summary>
    public TimeSpan DataTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>For each block of data (RFC 5321 4.5.3.2.5: 3 minutes).</summary>
    public TimeSpan BlockTimeout { get; init; } = TimeSpan.FromMinutes(3);

    /// <summary>From the final dot to the reply (RFC 5321 4.5.3.2.6: 10 minutes; too short makes duplicates).</summary>
    public TimeSpan FinalDotTimeout { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>RSET and QUIT: nothing depends on their replies.</summary>
    public TimeSpan QuitTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A TLS handshake. RFC 5321 gives none.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long the next hop may take at this stage.</summary>
    public TimeSpan TimeoutOf(ClientStage stage) => stage switch
    {
        ClientStage.Connect => ConnectTimeout,
        ClientStage.Greeting => GreetingTimeout,
        ClientStage.TlsHandshake => HandshakeTimeout,
        ClientStage.Recipient => RecipientTimeout,
        ClientStage.Data => DataTimeout,
        ClientStage.Body => BlockTimeout,
        ClientStage.FinalDot => FinalDotTimeout,
        ClientStage.Quit => QuitTimeout,
        _ => CommandTimeout,
    };
}
