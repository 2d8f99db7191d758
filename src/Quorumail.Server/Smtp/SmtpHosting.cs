using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Server.Configuration;
using Quorumail.Server.Logging;
using Quorumail.Server.Queue;

namespace Quorumail.Server.Smtp;

/// <summary>Puts the receiving side together out of the configuration.</summary>
public static class SmtpHosting
{
    private const string LoggerCategory = "smtp";
    private const int ReadBufferMax = 64 * 1024;

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
            ConnectionsMax = server.MaxConnections,
            ConnectionsPerAddressMax = server.MaxConnectionsPerAddress,
            MessagesPerMinuteMax = server.MaxMessagesPerMinute,
            Trusted = new NetworkList(server.TrustedNetworks),
            ProxyFrom = new NetworkList(server.ProxyFrom),
        };
    }

    /// <summary>
    /// Adds what the listeners share, as <see cref="SmtpServices"/>. Needs <see cref="MailQueue"/>, <see cref="TimeProvider"/>
    /// and logging.
    /// </summary>
    /// <exception cref="InvalidOperationException">The directory has errors; they are the message.</exception>
    public static IServiceCollection AddSmtp(this IServiceCollection services, QuorumailOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var errors = new List<string>();
        var directory = CreateDirectory(options, errors);
        if (errors.Count > 0)
        {
            throw new InvalidOperationException(string.Join(Environment.NewLine, errors));
        }

        var receiving = CreateReceivingOptions(options.Server);
        services.AddSingleton(directory);
        services.AddSingleton<PasswordVerifier>();
        services.AddSingleton(provider => new SmtpConnections(receiving, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new MessageIntake(
            provider.GetRequiredService<MailQueue>().Bodies,
            provider.GetRequiredService<MailQueue>().Health,
            provider.GetRequiredService<MailQueue>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILoggerFactory>().CreateLogger(LoggerCategory)));
        if (options.Tls.IsConfigured)
        {
            services.AddSingleton(provider => new ServerCertificate(
                options.Tls.Cert,
                options.Tls.Key,
                provider.GetRequiredService<TimeProvider>(),
                provider.GetRequiredService<ILoggerFactory>().CreateLogger(LoggerCategory)));
        }

        services.AddSingleton(provider => new SmtpServices(
            receiving,
            directory,
            provider.GetRequiredService<MessageIntake>(),
            provider.GetRequiredService<SmtpConnections>(),
            provider.GetRequiredService<PasswordVerifier>(),
            new MessageRateLimiter(receiving.MessagesPerMinuteMax, provider.GetRequiredService<TimeProvider>()),
            provider.GetService<ServerCertificate>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILoggerFactory>().CreateLogger(MailLog.Category),
            provider.GetRequiredService<ILoggerFactory>().CreateLogger(LoggerCategory)));
        services.Configure<SocketTransportOptions>(Tune);
        return services;
    }

    /// <summary>Listens for SMTP.</summary>
    public static void ListenSmtp(this KestrelServerOptions kestrel, SmtpServices services, SmtpListener listener)
    {
        ArgumentNullException.ThrowIfNull(kestrel);
        ArgumentNullException.ThrowIfNull(listener);
        var handler = new SmtpConnectionHandler(services, listener);
        kestrel.Listen(listener.EndPoint, endPoint => endPoint.Run(handler.OnConnectedAsync));
    }

    /// <summary>Sets the socket transport up for many small exchanges.</summary>
    public static void Tune(SocketTransportOptions transport)
    {
        ArgumentNullException.ThrowIfNull(transport);
        transport.MaxReadBufferSize = ReadBufferMax;
        transport.UnsafePreferInlineScheduling = true;
        transport.NoDelay = true;
    }
}
