using System.Net;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;
using Quorumail.Server.Configuration;
using Quorumail.Server.Delivery;
using Quorumail.Server.Delivery.Dns;
using Quorumail.Server.Http;
using Quorumail.Server.Limits;
using Quorumail.Server.Queue;
using Quorumail.Server.Smtp;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Hosting;

/// <summary>
/// All parts of a running server, and the order in which they start and stop. HTTP comes first and goes last, so that
/// probes are answered meanwhile.
/// </summary>
internal sealed partial class MailServer : IAsyncDisposable
{
    /// <summary>Patience with what is in flight when the disk has failed: nothing of it can be kept any more.</summary>
    private static readonly TimeSpan FailedStopTimeout = TimeSpan.FromSeconds(2);

    private readonly QuorumailOptions _options;
    private readonly ILoggerFactory _logs;
    private readonly ServerStatus _status;
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TimeProvider _clock;
    private HttpServer? _http;
    private readonly CancellationTokenSource _stop = new();
    private ClusterMail? _cluster;
    private Task _serving = Task.CompletedTask;
    private MailQueue? _queue;
    private NodeLimits? _limits;
    private DeliveryService? _delivery;
    private SmtpServer? _smtp;

    public MailServer(QuorumailOptions options, ILoggerFactory logs, TimeProvider clock)
    {
        _options = options;
        _logs = logs;
        _clock = clock;
        _status = new ServerStatus(clock);
    }

    /// <summary>Completes when a disk has failed.</summary>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>The SMTP listeners with their real ports.</summary>
    public IReadOnlyList<(IPEndPoint EndPoint, ListenerOptions Listener)> SmtpEndPoints { get; private set; } = [];

    /// <summary>The HTTP listener with its real port.</summary>
    public IPEndPoint HttpEndPoint => _http!.EndPoint;

    /// <summary>Where only health and metrics are served, or null.</summary>
    public IPEndPoint? HealthEndPoint => _http!.HealthEndPoint;

    /// <summary>Messages found in the queue at start.</summary>
    public int Recovered { get; private set; }

    /// <summary>Starts everything. Throws <see cref="StartException"/> if that can't be.</summary>
    public async Task StartAsync(CancellationToken token)
    {
        var errors = new List<string>();
        var directory = SmtpHosting.CreateDirectory(_options, errors);
        if (errors.Count > 0)
        {
            throw new StartException(string.Join("; ", errors));
        }

        await StartHttpAsync(token);
        if (_options.Cluster.Enabled)
        {
            await StartClusterAsync(directory, token);
            return;
        }

        _status.SetPhase("recovering the queue");
        await OpenQueueAsync(token);
        await ServeAsync(directory, token);
    }

    /// <summary>Stops everything within the bound.</summary>
    public async Task StopAsync()
    {
        _status.SetPhase("stopping");
        await _stop.CancelAsync();
        await _serving;
        var patience = Failed.IsCompleted ? FailedStopTimeout : _options.Server.ShutdownTimeout;
        using var bound = new CancellationTokenSource(patience, _clock);
        if (!Failed.IsCompleted && _cluster is { } leaving)
        {
            await leaving.HandOverMessagesAsync(bound.Token);
        }

        // With a disk that has failed it can lead nobody: the others elect somebody meanwhile.
        var resigning = Failed.IsCompleted ? _cluster?.HandOverLeadershipAsync(bound.Token) : null;
        await Task.WhenAll(
            resigning ?? Task.CompletedTask,
            _smtp?.StopAsync(bound.Token) ?? Task.CompletedTask,
            _delivery?.StopAsync(bound.Token) ?? Task.CompletedTask);
        if (!Failed.IsCompleted && _cluster is { } left)
        {
            await left.HandOverLeadershipAsync(bound.Token);
        }

        await DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _serving;
        if (Interlocked.Exchange(ref _smtp, null) is { } smtp)
        {
            await smtp.DisposeAsync();
        }

        if (Interlocked.Exchange(ref _delivery, null) is { } delivery)
        {
            await delivery.DisposeAsync();
        }

        if (Interlocked.Exchange(ref _limits, null) is { } limits)
        {
            await limits.DisposeAsync();
        }

        var queue = Interlocked.Exchange(ref _queue, null);
        if (Interlocked.Exchange(ref _cluster, null) is { } cluster)
        {
            await cluster.DisposeAsync();
        }
        else if (queue is not null)
        {
            await queue.DisposeAsync();
        }

        if (Interlocked.Exchange(ref _http, null) is { } http)
        {
            await http.DisposeAsync();
        }
    }

    /// <summary>The port of the cluster; null if this node stands alone.</summary>
    public IPEndPoint? ClusterEndPoint => _cluster?.Manager.EndPoint;

    // What the cluster decides is waited for behind: a node without a majority shows its status meanwhile.
    private async Task StartClusterAsync(RecipientDirectory directory, CancellationToken token)
    {
        var cluster = await ClusterMail.StartAsync(_options, FeatureLevels.Highest, _clock, _logs, token);
        _cluster = cluster;
        _queue = cluster.Queue;
        _ = ReportFailureAsync(cluster.Manager.Failed);
        Open(_queue);
        _status.Open(new ManagedClusterView(cluster.Manager, cluster.Drain));
        _status.SetPhase(null);
        _serving = JoinAndServeAsync(cluster, directory, _stop.Token);
    }

    private async Task JoinAndServeAsync(ClusterMail cluster, RecipientDirectory directory, CancellationToken token)
    {
        try
        {
            await cluster.BeginAsync(token);
            await ServeAsync(directory, token);
            LogServing(_logs.CreateLogger("server"), string.Join(", ", SmtpEndPoints.Select(listener => listener.EndPoint)), _queue!.Count);
        }
        catch (Exception problem)
        {
            if (!token.IsCancellationRequested)
            {
                _failed.TrySetResult(problem);
            }
        }
    }

    private async Task ServeAsync(RecipientDirectory directory, CancellationToken token)
    {
        _limits = new NodeLimits(_options, _queue!, _cluster?.Manager, _clock, _logs);
        await _limits.SettleAsync(token);
        await StartDeliveryAsync(directory, token);
        await StartSmtpAsync(directory, token);
        _status.SetPhase(null);
    }

    private async Task OpenQueueAsync(CancellationToken token)
    {
        var queueOptions = new MailQueueOptions
        {
            Database = new DatabaseOptions { Path = _options.Storage.Path, FreeSpaceFloor = _options.Storage.MinFree },
            NodeId = _options.Cluster.NodeId.Length > 0 ? _options.Cluster.NodeId : null,
            HistorySizeMax = _options.Queue.HistoryMaxSize,
            HistoryKeep = _options.Queue.HistoryKeep,
        };
        MailQueue queue;
        try
        {
            queue = await MailQueue.OpenAsync(queueOptions, _clock, _logs, token);
        }
        catch (Exception exception) when (exception is StorageException or IOException or UnauthorizedAccessException)
        {
            throw new StartException(exception.Message, exception);
        }

        _queue = queue;
        Recovered = queue.Count;
        Open(queue);
        _status.Open(new StandaloneView(queue.NodeId, _status, _clock));
    }

    private void Open(MailQueue queue)
    {
        _ = ReportFailureAsync(queue.Failed);
        _status.Open(
            new QueueView(() => queue.Counts, () => queue.CommitIndex, () => queue.AppliedIndex)
            {
                Administration = QueueAdministration.Of(queue) with
                {
                    RestOf = address => _delivery?.RestOf(address),
                    KnowRequeueOfDue = () => _cluster is null || _cluster.Manager.Node?.FeatureLevel >= FeatureLevels.RequeueOfDue,
                },
                Term = () => queue.Term,
                Copies = () => queue.Copies,
                Owned = () => queue.OwnedCount,
                Durability = () => queue.Durability,
                Limits = () => queue.Limits.Usage(queue.ClusterTime),
            },
            () => queue.IsReady ? null : "the log can't commit",
            () => queue.IsDraining ? "this node drains: it takes no mail" : null,
            () => queue.Health.Reason,
            () => _smtp is null ? "SMTP is not open yet" : null);
    }

    private async Task StartDeliveryAsync(RecipientDirectory directory, CancellationToken token)
    {
        _delivery = new DeliveryService(
            DeliverySettings.Of(_options, directory),
            new LocalDeliveryQueue(_queue!),
            new DestinationLimits(_limits!.Shared),
            new DnsLookup(_options.Delivery.DnsServers),
            _clock,
            _logs,
            Random.Shared);
        _ = ReportFailureAsync(_delivery.Failed);
        await _delivery.StartAsync(token);
    }

    private async Task StartSmtpAsync(RecipientDirectory directory, CancellationToken token)
    {
        var listeners = SmtpHosting.CreateListeners(_options);
        SmtpServices services;
        try
        {
            services = SmtpHosting.CreateServices(_options, _queue!, _limits!.Shared, directory, _clock, _logs);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new StartException($"[tls] cert {_options.Tls.Cert} and key {_options.Tls.Key} can't be used: {exception.Message}", exception);
        }

        try
        {
            _smtp = await SmtpServer.StartAsync(services, listeners, _logs, token);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            throw StartException.FromListening(
                exception,
                [.. listeners.Select((listener, index) => (listener.EndPoint, index == 0 ? "[server] port" : $"[[listeners]] {index}"))]);
        }

        SmtpEndPoints = [.. _smtp.EndPoints.Zip(_options.EffectiveListeners, (bound, listener) => (bound.EndPoint, listener))];
    }

    private async Task ReportFailureAsync(Task<Exception> failed) => _failed.TrySetResult(await failed);

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

    [LoggerMessage(LogLevel.Information, "SMTP on {EndPoints}; {Count} messages in the cluster's queue")]
    private static partial void LogServing(ILogger log, string endPoints, int count);
}
