namespace Quorumail.Core.Smtp;

/// <summary>The replies that never change.</summary>
public static class SmtpReplies
{
    public static SmtpReply Ok { get; } = new(250, "2.0.0", "OK");

    public static SmtpReply SenderOk { get; } = new(250, "2.1.0", "Sender OK");

    public static SmtpReply RecipientOk { get; } = new(250, "2.1.5", "Recipient OK");

    public static SmtpReply Bye { get; } = new(221, "2.0.0", "Bye");

    public static SmtpReply Help { get; } = new(214, "2.0.0", "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY STARTTLS AUTH QUIT; see RFC 5321");

    public static SmtpReply CannotVerify { get; } = new(252, "2.5.0", "Cannot verify the user, but will accept mail and try to deliver it");

    public static SmtpReply StartData { get; } = new(354, "", "End data with <CR><LF>.<CR><LF>");

    public static SmtpReply StartTls { get; } = new(220, "2.0.0", "Ready to start TLS");

    public static SmtpReply Authenticated { get; } = new(235, "2.7.0", "Authentication succeeded");

    public static SmtpReply UnknownCommand { get; } = new(500, "5.5.1", "Command not recognised");

    public static SmtpReply LineTooLong { get; } = new(500, "5.5.2", "Line too long");

    public static SmtpReply BareLineEnd { get; } = new(500, "5.5.2", "Lines end with CRLF; a bare CR or LF is refused");

    public static SmtpReply NulInCommand { get; } = new(500, "5.5.2", "NUL in a command");

    public static SmtpReply Syntax { get; } = new(501, "5.5.4", "Syntax error in parameters");

    public static SmtpReply BadPath { get; } = new(501, "5.1.3", "Bad address syntax");

    public static SmtpReply BadReversePath { get; } = new(501, "5.1.7", "Bad sender address syntax");

    public static SmtpReply NotImplemented { get; } = new(502, "5.5.1", "Command not implemented");

    public static SmtpReply BadSequence { get; } = new(503, "5.5.1", "Bad sequence of commands");

    public static SmtpReply NotSynchronized { get; } = new(503, "5.5.1", "Data sent before the reply that asks for it");

    public static SmtpReply TlsRequired { get; } = new(530, "5.7.0", "Must issue a STARTTLS command first");

    public static SmtpReply AuthenticationRequired { get; } = new(530, "5.7.0", "Authentication required");

    public static SmtpReply AuthenticationFailed { get; } = new(535, "5.7.8", "Authentication credentials invalid");

    public static SmtpReply EncryptionRequired { get; } = new(538, "5.7.11", "Encryption required for requested authentication mechanism");

    public static SmtpReply AuthenticationCancelled { get; } = new(501, "5.7.0", "Authentication cancelled");

    public static SmtpReply BadBase64 { get; } = new(501, "5.5.2", "Cannot decode the response");

    public static SmtpReply UnknownMechanism { get; } = new(504, "5.5.4", "Authentication mechanism not supported");

    public static SmtpReply Utf8Required { get; } = new(553, "5.6.7", "Non-ASCII address needs SMTPUTF8");

    public static SmtpReply BinaryMime { get; } = new(555, "5.5.4", "BODY=BINARYMIME is not supported");

    public static SmtpReply UnknownParameter { get; } = new(555, "5.5.4", "Parameter not recognised");

    public static SmtpReply TooLarge { get; } = new(552, "5.3.4", "Message size exceeds the limit");

    public static SmtpReply HeaderTooLarge { get; } = new(552, "5.3.4", "Message header size exceeds the limit");

    public static SmtpReply TextLineTooLong { get; } = new(554, "5.6.0", "Message has a line longer than the limit (RFC 5321 4.5.3.1.6)");

    public static SmtpReply TooManyHops { get; } = new(554, "5.4.6", "Too many hops, mail loop");

    public static SmtpReply BareLineEndInMessage { get; } = new(550, "5.6.11", "Message has a bare CR or LF");

    public static SmtpReply NulInMessage { get; } = new(550, "5.6.11", "Message has a NUL");

    public static SmtpReply TooManyRecipients { get; } = new(452, "4.5.3", "Too many recipients");

    public static SmtpReply NoRecipients { get; } = new(554, "5.5.1", "No valid recipients");

    public static SmtpReply RelayDenied { get; } = new(550, "5.7.1", "Relaying denied");

    public static SmtpReply UnknownUser { get; } = new(550, "5.1.1", "No such user here");

    public static SmtpReply NotSendersAddress { get; } = new(553, "5.7.1", "Sender address is not owned by the authenticated user");

    public static SmtpReply StorageRefuses { get; } = new(452, "4.3.1", "Insufficient system storage");

    public static SmtpReply StorageFailed { get; } = new(451, "4.3.0", "Message could not be stored, try again later");

    public static SmtpReply NotCommitted { get; } = new(451, "4.3.2", "Message could not be made durable in time, try again later");

    public static SmtpReply TooManyMessages { get; } = new(451, "4.7.1", "Too many messages, try again later");

    public static SmtpReply TooManyForDomain { get; } = new(451, "4.7.1", "Too many messages for this domain, try again later");

    public static SmtpReply LimitsUnknown { get; } = new(451, "4.3.2", "The cluster could not be asked in time, try again later");

    public static SmtpReply TooManyConnections { get; } = new(421, "4.7.0", "Too many connections, try again later");

    public static SmtpReply ShuttingDown { get; } = new(421, "4.3.2", "Service not available, try again later");

    public static SmtpReply TooManyErrors { get; } = new(421, "4.7.0", "Too many errors");

    public static SmtpReply TooManyAuthenticationFailures { get; } = new(421, "4.7.0", "Too many failed authentications");

    public static SmtpReply TimedOut { get; } = new(421, "4.4.2", "Timed out");

    public static SmtpReply TooSlow { get; } = new(421, "4.4.2", "Data arrives too slowly");

    public static SmtpReply Fatal { get; } = new(421, "4.3.0", "Internal error, try again later");
}
