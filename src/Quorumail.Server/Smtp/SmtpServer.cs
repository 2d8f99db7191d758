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

    /// <summary>Between two looks at whether there is a majority and this node does not drain.</summary>
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(250);

    private readonly WebApplication _application;
    private readonly SmtpServices _services;
    private readonly SmtpGate _gate;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _watching;
    private bool _isStopped;
    private bool _isCutOff;

    private SmtpServer(WebApplication application, SmtpServices services, IReadOnlyList<(IPEndPoint, SmtpListener)> endPoints)
    {
        _application = application;
        _services = services;
        _gate = (SmtpGate)application.Services.GetRequiredService<IConnectionListenerFactory>();
        EndPoints = endPoints;
        _watching = WatchAsync(_stop.Token);
    }

    /// <summary>Whether nobody can connect because for a while there has been no majority, or this node has been draining.</summary>
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
        _services.Connections.Dispose();
        _services.Refusals.Dispose();
        _services.Passwords.Dispose();
        _services.Certificate?.Dispose();
    }

    // Without a majority, and while this node drains, sessions are refused, and some time later the listeners close until that is over.
    private async Task WatchAsync(CancellationToken token)
    {
        try
        {
            using PeriodicTimer timer = new(LookInterval, _services.Time);
            while (await timer.WaitForNextTickAsync(token))
            {
                var (noQuorum, draining) = (_services.Intake.NoQuorumFor, _services.Intake.DrainingFor);
                if (!_gate.IsClosed && (noQuorum > _services.Options.RefuseGrace || draining > _services.Options.RefuseGrace))
                {
                    LogClosed(_services.Logger, draining is null ? LogLevel.Warning : LogLevel.Information, draining is null ? "there is no majority of the cluster" : "this node drains");
                    await _gate.CloseAsync(token);
                }
                else if (_gate.IsClosed && !_services.Intake.IsRefusing)
                {
                    await OpenAsync(token);
                }

                CutOff(draining > _services.Options.DrainTimeout);
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    // Once: what connects afterwards is refused at once.
    private void CutOff(bool isDue)
    {
        if (isDue && !_isCutOff && _services.Connections.Count is > 0 and var count)
        {
            LogCutOff(_services.Logger, count);
            _services.Connections.AbortAll();
        }

        _isCutOff = isDue;
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

    [LoggerMessage(EventId = 30, Message = "{reason}: the SMTP listeners are closed until that is over")]
    private static partial void LogClosed(ILogger log, LogLevel level, string reason);

    [LoggerMessage(33, LogLevel.Warning, "{count} SMTP sessions are cut off: the time to end them is over, and this node drains")]
    private static partial void LogCutOff(ILogger log, int count);

    [LoggerMessage(31, LogLevel.Information, "the SMTP listeners are open again")]
    private static partial void LogOpened(ILogger log);

    [LoggerMessage(32, LogLevel.Error, "an SMTP listener can't be opened again: {reason}; it is tried again")]
    private static partial void LogNotOpened(ILogger log, string reason);
}
