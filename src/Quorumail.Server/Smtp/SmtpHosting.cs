using System.Net;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Server.Configuration;
using Quorumail.Server.Limits;
using Quorumail.Server.Logging;
using Quorumail.Server.Queue;

namespace Quorumail.Server.Smtp;

/// <summary>Puts the receiving side together out of the configuration.</summary>
public static class SmtpHosting
{
    private const string LoggerCategory = "smtp";

    /// <summary>Who receives mail here. Each thing that is wrong goes as a sentence into <paramref name="errors"/>.</summary>
    public static RecipientDirectory CreateDirectory(QuorumailOptions options, ICollection<string> errors)
    {
        ArgumentNullException.ThrowIfNull(options);
        return new RecipientDirectory(
            options.EffectiveLocalDomains,
            options.Server.RelayDomains,
            [.. options.Users.Select(user => new DirectoryUser(user.Name, user.PasswordHash, user.Addresses))],
            options.Aliases,
            errors);
    }

    /// <summary>The listeners, that of <c>[server]</c> first.</summary>
    public static IReadOnlyList<SmtpListener> CreateListeners(QuorumailOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var limits = new SmtpLimits
        {
            MessageSizeMax = options.Server.MaxMessageSize,
            RecipientsMax = options.Server.MaxRecipients,
            TextLineMax = options.Server.MaxLineLength,
        };
        var normalizes = options.Server.BareNewlines == BareNewlines.Normalize;
        var listeners = new List<SmtpListener>();
        foreach (var listener in options.EffectiveListeners)
        {
            var role = listener.Role == ListenerRole.Submission ? SmtpRole.Submission : SmtpRole.Mx;
            var service = new SmtpService(options.Server.Hostname, role, limits) { NormalizesLineEnds = normalizes };
            listeners.Add(new SmtpListener(
                new IPEndPoint(listener.Address, listener.Port),
                service,
                listener.Tls == ListenerTls.Implicit,
                listener.Tls == ListenerTls.Starttls));
        }

        return listeners;
    }

    /// <summary>Times, rates and counts out of the configuration.</summary>
    public static ReceivingOptions CreateReceivingOptions(ServerOptions server)
    {
        ArgumentNullException.ThrowIfNull(server);
        return new ReceivingOptions
        {
            CommandTimeout = server.CommandTimeout,
            TransactionTimeout = server.TransactionTimeout,
            CommitTimeout = server.CommitTimeout,
            RefuseGrace = server.RefuseGrace,
            DrainTimeout = server.ShutdownTimeout,
            ConnectionsMax = server.MaxConnections,
            ConnectionsPerAddressMax = server.MaxConnectionsPerAddress,
            Trusted = new NetworkList(server.TrustedNetworks),
            ProxyFrom = new NetworkList(server.ProxyFrom),
        };
    }

    /// <summary>What the listeners share. The caller disposes of what it holds by <see cref="SmtpServer.DisposeAsync"/>.</summary>
    public static SmtpServices CreateServices(
        QuorumailOptions options, MailQueue queue, SharedLimits limits, RecipientDirectory directory, TimeProvider time, ILoggerFactory loggers)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(queue);
        var receiving = CreateReceivingOptions(options.Server);
        var log = loggers.CreateLogger(LoggerCategory);
        return new SmtpServices(
            receiving,
            directory,
            new MessageIntake(queue.Bodies, queue.Health, queue, time, log),
            new SmtpConnections(receiving, time),
            new PasswordVerifier(directory),
            limits,
            options.Tls.IsConfigured ? new ServerCertificate(options.Tls.Cert, options.Tls.Key, time, log) : null,
            time,
            loggers.CreateLogger(MailLog.Category),
            log);
    }
}
