namespace Quorumail.Core.Delivery.Client;

/// <summary>What the client has said last and waits for; says which time-out applies and, after a failure, what is known.</summary>
public enum ClientStage
{
    /// <summary>No connection yet.</summary>
    Connect = 0,

    /// <summary>Connected; the 220 greeting is due.</summary>
    Greeting = 1,

    /// <summary>EHLO, LHLO or HELO.</summary>
    Hello = 2,

    /// <summary>STARTTLS.</summary>
    StartTls = 3,

    /// <summary>The TLS handshake itself.</summary>
    TlsHandshake = 4,

    /// <summary>AUTH and its challenges.</summary>
    Authentication = 5,

    /// <summary>Nothing is under way.</summary>
    Idle = 6,

    /// <summary>RSET before a transaction.</summary>
    Reset = 7,

    /// <summary>MAIL FROM.</summary>
    Mail = 8,

    /// <summary>RCPT TO.</summary>
    Recipient = 9,

    /// <summary>DATA; 354 is due.</summary>
    Data = 10,

    /// <summary>The message is being sent, without its final dot.</summary>
    Body = 11,

    /// <summary>The final dot has been handed out: from here on the next hop may have the message (RFC 1047).</summary>
    FinalDot = 12,

    /// <summary>QUIT.</summary>
    Quit = 13,
}
