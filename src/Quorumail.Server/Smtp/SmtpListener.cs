using System.Net;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Smtp;

/// <summary>What every SMTP listener of the server shares.</summary>
/// <param name="Options">Times and counts.</param>
/// <param name="Directory">Who receives here.</param>
/// <param name="Intake">Where messages go.</param>
/// <param name="Connections">The open connections.</param>
/// <param name="Passwords">Checks passwords.</param>
/// <param name="Limits">The limits that all nodes share.</param>
/// <param name="Certificate">For TLS, or null.</param>
/// <param name="Time">The clock.</param>
/// <param name="MailLogger">Takes the mail events.</param>
/// <param name="Logger">Takes the rest.</param>
public sealed record SmtpServices(
    ReceivingOptions Options,
    RecipientDirectory Directory,
    MessageIntake Intake,
    SmtpConnections Connections,
    PasswordVerifier Passwords,
    SharedLimits Limits,
    ServerCertificate? Certificate,
    TimeProvider Time,
    ILogger MailLogger,
    ILogger Logger)
{
    /// <summary>Logs the connections that are refused.</summary>
    internal RefusedConnections Refusals { get; } = new(MailLogger, Logger, Time);
}

/// <summary>One SMTP listener.</summary>
/// <param name="EndPoint">Where it listens; port 0 takes a free one.</param>
/// <param name="Service">Role, limits and replies of its sessions.</param>
/// <param name="HasImplicitTls">TLS from the first octet (RFC 8314).</param>
/// <param name="OffersStartTls">STARTTLS is offered if there is a certificate.</param>
public sealed record SmtpListener(IPEndPoint EndPoint, SmtpService Service, bool HasImplicitTls, bool OffersStartTls);
