using System.Globalization;
using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Quorumail.Server.Configuration;

namespace Quorumail.Server.Http;

/// <summary>
/// Health, metrics and administration over HTTP. A server of its own beside the SMTP listeners, so that it answers while
/// the queue is being recovered and until everything else has stopped.
/// </summary>
internal sealed partial class HttpServer : IAsyncDisposable
{
    /// <summary>Connections at once; monitoring and an operator need few.</summary>
    private const int MaxConnections = 200;

    /// <summary>Octets of a request's body at most.</summary>
    private const int MaxBody = 64 * 1024;

    private readonly WebApplication _application;
    private readonly ListenOptions _listener;
    private readonly ListenOptions? _healthListener;

    private HttpServer(WebApplication application, ListenOptions listener, ListenOptions? healthListener)
    {
        _application = application;
        _listener = listener;
        _healthListener = healthListener;
    }

    /// <summary>Where administration is served, with the real port.</summary>
    public IPEndPoint EndPoint => (IPEndPoint)_listener.EndPoint;

    /// <summary>Where only health and metrics are served, or null.</summary>
    public IPEndPoint? HealthEndPoint => (IPEndPoint?)_healthListener?.EndPoint;

    /// <summary>Every method and path that is served.</summary>
    internal IEnumerable<(string Method, string Path)> Routes =>
        from source in ((IEndpointRouteBuilder)_application).DataSources
        from endpoint in source.Endpoints.OfType<RouteEndpoint>()
        from method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? []
        select (method, endpoint.RoutePattern.RawText!.Replace("**", "", StringComparison.Ordinal));

    /// <summary>Listens. Throws <see cref="IOException"/> when a port is taken.</summary>
    public static async Task<HttpServer> StartAsync(HttpOptions options, ServerStatus status, ILoggerFactory logs, CancellationToken token)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "smtp-server" });
        builder.Services.AddSingleton(logs);
        builder.Services.AddRoutingCore();
        ListenOptions? listener = null;
        ListenOptions? healthListener = null;
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaxBody;
            kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;
            kestrel.Limits.MaxConcurrentConnections = MaxConnections;
            kestrel.Listen(new IPEndPoint(options.BindAddress, options.Port), listen => listener = Configure(listen));
            if (ConfigValidator.TryEndPoint(options.HealthBind, out var health))
            {
                kestrel.Listen(health, listen => healthListener = Configure(listen));
            }
        });

        var application = builder.Build();
        var log = logs.CreateLogger("http");
        HttpAccess? access = null;
        application.Use(next => context =>
        {
            access ??= new HttpAccess(options.Token, (IPEndPoint?)healthListener?.EndPoint);
            context.Response.Headers.XContentTypeOptions = "nosniff";
            context.Response.Headers.CacheControl = "no-store";
            return access.Refusal(context) is { } refusal ? WriteErrorAsync(context, refusal.Status, refusal.Reason)
                : IsForeignBody(context.Request) ? WriteErrorAsync(
                    context, StatusCodes.Status415UnsupportedMediaType, "a body must be JSON (Content-Type: application/json); what can be asked for is said in the path and the query")
                : AnswerAsync(context, next, log);
        });
        MapHealth(application, status);
        new QueueEndpoints(status, TimeProvider.System).Map(application);
        new QueueActions(status, logs.CreateLogger("queue")).Map(application);
        new HistoryEndpoints(status).Map(application);
        new LimitEndpoints(status).Map(application);
        new ClusterEndpoints(status).Map(application);
        new StateEndpoints(status).Map(application);
        ApiDocument.Map(application);
        application.MapFallback("{*path}", context => WriteErrorAsync(context, StatusCodes.Status404NotFound, "no such path"));
        try
        {
            await application.StartAsync(token);
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }

        return new HttpServer(application, listener!, healthListener);
    }

    /// <summary>Stops listening; requests under way get a moment.</summary>
    public async ValueTask DisposeAsync()
    {
        using var bound = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _application.StopAsync(bound.Token);
        await _application.DisposeAsync();
    }

    /// <summary>Writes <c>{"error": …}</c>.</summary>
    internal static Task WriteErrorAsync(HttpContext context, int status, string reason)
    {
        context.Response.StatusCode = status;
        if (status == StatusCodes.Status401Unauthorized)
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
        }

        return WriteJsonAsync(context, new { error = reason });
    }

    /// <summary>Writes an object, keys in snake_case.</summary>
    internal static Task WriteJsonAsync<T>(HttpContext context, T value) =>
        context.Response.WriteAsJsonAsync(value, JsonFormat, context.RequestAborted);

    private static readonly JsonSerializerOptions JsonFormat = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
    };

    private static ListenOptions Configure(ListenOptions listen)
    {
        listen.Protocols = HttpProtocols.Http1;
        return listen;
    }

    // The value of a key of the shared state is a body as it is.
    private static bool IsForeignBody(HttpRequest request) =>
        request.Path.StartsWithSegments("/api", StringComparison.OrdinalIgnoreCase)
        && !(HttpMethods.IsPut(request.Method) && request.Path.StartsWithSegments(StateEndpoints.Path, StringComparison.OrdinalIgnoreCase))
        && !request.HasJsonContentType()
        && request.HttpContext.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: true };

    private static async Task AnswerAsync(HttpContext context, RequestDelegate next, ILogger log)
    {
        try
        {
            await next(context);
        }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException fault) when (!context.Response.HasStarted)
        {
            await WriteErrorAsync(context, fault.StatusCode, fault.Message);
        }
        catch (Exception fault) when (!context.Response.HasStarted && !context.RequestAborted.IsCancellationRequested)
        {
            LogFault(log, context.Request.Method, context.Request.Path, fault);
            await WriteErrorAsync(context, StatusCodes.Status500InternalServerError, "a defect of the server: its log says more");
        }
    }

    [LoggerMessage(1, LogLevel.Error, "{Method} {Path} failed unexpectedly")]
    private static partial void LogFault(ILogger log, string method, PathString path, Exception fault);

    private static void MapHealth(WebApplication application, ServerStatus status)
    {
        foreach (var path in (string[])["/healthz", "/livez"])
        {
            application.MapGet(path, (RequestDelegate)(context => WriteJsonAsync(context, new
            {
                status = "alive",
                version = ServerStatus.Version,
                uptime_seconds = (long)status.Uptime.TotalSeconds,
            })));
        }

        foreach (var path in (string[])["/readyz", "/ready", "/health"])
        {
            application.MapGet(path, (RequestDelegate)(context =>
            {
                var reasons = status.NotReadyReasons();
                context.Response.StatusCode = reasons.Count == 0 ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
                return WriteJsonAsync(context, new
                {
                    status = reasons.Count == 0 ? "healthy" : "unhealthy",
                    ready = reasons.Count == 0,
                    reasons,
                    weakness = status.Queue?.Weakness,
                    uptime_seconds = (long)status.Uptime.TotalSeconds,
                    active_connections = (long)Metrics.ConnectionsActive.Value,
                });
            }));
        }

        var process = new ProcessMetrics(status);
        var limits = new LimitMetrics(status, Metrics.Registry);
        var cluster = new ClusterMetrics(status);
        application.MapGet("/metrics", (RequestDelegate)(context =>
        {
            process.Update();
            limits.Update();
            cluster.Update();
            context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
            return Metrics.Registry.CollectAndExportAsTextAsync(context.Response.Body, context.RequestAborted);
        }));
    }

    /// <summary>Reads a bounded whole number out of the query.</summary>
    internal static bool TryReadLimit(HttpContext context, int fallback, int maximum, out int limit)
    {
        limit = fallback;
        var text = context.Request.Query["limit"].ToString();
        return text.Length == 0
            || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out limit) && limit > 0 && limit <= maximum);
    }
}
