namespace Quorumail.Server.Configuration;

/// <summary>What happens to a message with a CR or LF of its own in the data (SMTP smuggling).</summary>
public enum BareNewlines
{
    /// <summary>Refused with 550 5.6.11 after its true end.</summary>
    Reject = 0,

    /// <summary>Each becomes CRLF; only CRLF.CRLF ends the data all the same.</summary>
    Normalize = 1,
}
