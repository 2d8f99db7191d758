using System.Net;
using Microsoft.Extensions.Logging;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;

namespace Quorumail.Server.Hosting;

/// <summary>
/// All parts of a running server, and the order in which they start and stop. HTTP comes first and goes last, so that
/// probes are answered meanwhile.
/// </summary>
internal sealed class MailServer : IAsyncDisposable
{
    private readonly QuorumailOptions _options;
    private readonly ILoggerFactory _logs;
    private readonly ServerStatus _status;
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private HttpServer? _http;

    public MailServer(QuorumailOptions options, ILoggerFactory logs, TimeProvider clock)
    {
        _options = options;
        _logs = logs;
        _status = new ServerStatus(clock);
    }

    /// <summary>Completes when a disk has failed.</summary>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>The SMTP listeners with their real ports.</summary>
    public IReadOnlyList<(IPEndPoint EndPoint, ListenerOptions Listener)> SmtpEndPoints => [];

    /// <summary>The HTTP listener with its real port.</summary>
    public IPEndPoint HttpEndPoint => _http!.EndPoint;

    /// <summary>Starts everything. Throws <see cref="StartException"/> if that can't be.</summary>
    public async Task StartAsync(CancellationToken token)
    {
        await StartHttpAsync(token);
    }

    /// <summary>Stops everything within the bound.</summary>
    public async Task StopAsync()
    {
        _status.SetPhase("stopping");
        await DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _http, null) is { } http)
        {
            await http.DisposeAsync();
        }
    }

    private async Task StartHttpAsync(CancellationToken token)
    {
        var wanted = new List<(IPEndPoint, string)> { (new IPEndPoint(_options.Http.BindAddress, _options.Http.Port), "[http] port") };
        if (ConfigValidator.TryEndPoint(_options.Http.HealthBind, out var health))
        {
            wanted.Add((health, "[http] health_bind"));
        }

        try
        {
            _http = await HttpServer.StartAsync(_options.Http, _status, _logs, token);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            throw StartException.FromListening(exception, wanted);
        }
    }
}
