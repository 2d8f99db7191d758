using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Smtp;

/// <summary>The SMTP listeners. A Kestrel of their own, set up for many small exchanges.</summary>
public sealed partial class SmtpServer : IAsyncDisposable
{
    private const int ReadBufferMax = 64 * 1024;

    /// <summary>Between two looks at whether there is a majority.</summary>
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(250);

    private readonly WebApplication _application;
    private readonly SmtpServices _services;
    private readonly SmtpGate _gate;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _watching;
    private bool _isStopped;

    private SmtpServer(WebApplication application, SmtpServices services, IReadOnlyList<(IPEndPoint, SmtpListener)> endPoints)
    {
        _application = application;
        _services = services;
        _gate = (SmtpGate)application.Services.GetRequiredService<IConnectionListenerFactory>();
        EndPoints = endPoints;
        _watching = WatchAsync(_stop.Token);
    }

    /// <summary>Whether nobody can connect because there has been no majority for a while.</summary>
    public bool IsClosed => _gate.IsClosed;

    /// <summary>The listeners, in the order given, with their real ports.</summary>
    public IReadOnlyList<(IPEndPoint EndPoint, SmtpListener Listener)> EndPoints { get; }

    /// <summary>Connections open now.</summary>
    public int ConnectionCount => _services.Connections.Count;

    /// <summary>Listens. Owns <paramref name="services"/> from here on, unless it throws.</summary>
    /// <exception cref="IOException">A port is taken.</exception>
    public static async Task<SmtpServer> StartAsync(
        SmtpServices services, IReadOnlyList<SmtpListener> listeners, ILoggerFactory loggers, CancellationToken token)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(listeners);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "smtp-server" });
        builder.Services.AddSingleton(loggers);
        builder.Services.Configure<SocketTransportOptions>(Tune);
        var bound = new List<ListenOptions>();
        builder.Services.AddSingleton<IConnectionListenerFactory, SmtpGate>();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            foreach (var listener in listeners)
            {
                var handler = new SmtpConnectionHandler(services, listener);
                kestrel.Listen(listener.EndPoint, listen =>
                {
                    bound.Add(listen);
                    listen.Run(handler.OnConnectedAsync);
                });
            }
        });
        var application = builder.Build();
        try
        {
            await application.StartAsync(token);
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }

        return new SmtpServer(application, services, [.. bound.Zip(listeners, (listen, listener) => ((IPEndPoint)listen.EndPoint, listener))]);
    }

    /// <summary>
    /// Stops listening, tells idle sessions 421, lets transactions end; when the token ends the waiting, cuts the rest off.
    /// </summary>
    public async Task StopAsync(CancellationToken token)
    {
        _isStopped = true;
        await _stop.CancelAsync();
        await _watching;
        var draining = _services.Connections.DrainAsync(token);
        await _application.StopAsync(token);
        await draining;
    }

    /// <summary>Stops at once unless <see cref="StopAsync"/> has been called, and ends what the listeners share.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_isStopped)
        {
            await StopAsync(new CancellationToken(canceled: true));
        }

        await _application.DisposeAsync();
        _stop.Dispose();
        await _services.Intake.DisposeAsync();
        _services.Connections.Dispose();
        _services.Passwords.Dispose();
        _services.Certificate?.Dispose();
    }

    // Without a majority sessions are refused, and some time later the listeners close until there is one again.
    private async Task WatchAsync(CancellationToken token)
    {
        try
        {
            using PeriodicTimer timer = new(LookInterval, _services.Time);
            while (await timer.WaitForNextTickAsync(token))
            {
                var isRefusing = _services.Intake.NoQuorumFor is { } since && since > _services.Options.RefuseGrace;
                if (isRefusing && !_gate.IsClosed)
                {
                    LogClosed(_services.Logger);
                    await _gate.CloseAsync(token);
                }
                else if (_gate.IsClosed && _services.Intake.NoQuorumFor is null)
                {
                    await OpenAsync(token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    private async Task OpenAsync(CancellationToken token)
    {
        try
        {
            await _gate.OpenAsync(token);
            LogOpened(_services.Logger);
        }
        catch (IOException taken)
        {
            LogNotOpened(_services.Logger, taken.Message);
        }
    }

    private static void Tune(SocketTransportOptions transport)
    {
        transport.MaxReadBufferSize = ReadBufferMax;
        transport.UnsafePreferInlineScheduling = true;
        transport.NoDelay = true;

        // A read less for each command; an idle connection holds 4 KiB for it (5 000: 52 MB instead of 31, measured).
        transport.WaitForDataBeforeAllocatingBuffer = false;
    }

    [LoggerMessage(30, LogLevel.Warning, "there is no majority of the cluster: the SMTP listeners are closed until there is one")]
    private static partial void LogClosed(ILogger log);

    [LoggerMessage(31, LogLevel.Information, "there is a majority of the cluster again: the SMTP listeners are open")]
    private static partial void LogOpened(ILogger log);

    [LoggerMessage(32, LogLevel.Error, "an SMTP listener can't be opened again: {reason}; it is tried again")]
    private static partial void LogNotOpened(ILogger log, string reason);
}
