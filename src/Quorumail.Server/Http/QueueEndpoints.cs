using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Quorumail.Core.Mail;

namespace Quorumail.Server.Http;

/// <summary>
/// What can be asked about the queue: <c>/api/queue</c> with its messages, counts and lists, and <c>/api/stats</c>. Works
/// without a majority too, and tells then what this node knows. What can be changed is in <see cref="QueueActions"/>.
/// </summary>
internal sealed class QueueEndpoints(ServerStatus status, TimeProvider clock)
{
    private const int DefaultLimit = 100;
    private const int MaxLimit = 10_000;

    private static readonly string[] Paging = ["after", "offset", "limit"];

    /// <summary>Adds the paths.</summary>
    public void Map(IEndpointRouteBuilder application)
    {
        application.MapGet("/api/queue", (RequestDelegate)(context => WithQueueAsync(context, ListAsync)));
        application.MapGet("/api/queue/domains", Listing((queue, limit, _) =>
            new { domains = queue.CountsByDomain(limit).Select(QueueDescription.Describe) }));
        application.MapGet("/api/queue/removals", Listing((queue, limit, _) =>
            new { removals = queue.Removals(limit).Select(QueueDescription.Describe) }));
        application.MapGet("/api/queue/suspects", Listing(Suspects));
        application.MapGet("/api/queue/suspensions", Listing((queue, limit, _) =>
            new { suspensions = queue.Suspensions().Where(s => s.IsInForce(queue.Time())).Take(limit).Select(QueueDescription.Describe) }));
        application.MapGet("/api/queue/{id}", (RequestDelegate)(context => WithQueueAsync(context, ShowAsync)));
        application.MapGet("/api/stats", (RequestDelegate)(context => WithQueueAsync(context, StatsAsync)));
    }

    private Task WithQueueAsync(HttpContext context, Func<HttpContext, QueueView, Task> answer) =>
        status.Queue is { } queue
            ? answer(context, queue)
            : HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, "the queue is not open yet");

    private RequestDelegate Listing(Func<QueueAdministration, int, long, object> list) => context =>
        WithQueueAsync(context, (_, queue) =>
            !HttpServer.TryReadLimit(context, DefaultLimit, MaxLimit, out var limit) ? RefuseNumberAsync(context, "limit", 1)
            : !TryReadNumber(context, "after", long.MaxValue, -1, out var after) ? RefuseNumberAsync(context, "after", 0, long.MaxValue)
            : HttpServer.WriteJsonAsync(context, list(queue.Administration, limit, after)));

    private Task ListAsync(HttpContext context, QueueView queue)
    {
        if (!HttpServer.TryReadLimit(context, DefaultLimit, MaxLimit, out var limit))
        {
            return RefuseNumberAsync(context, "limit", 1);
        }

        if (!TryReadNumber(context, "offset", MaxLimit, 0, out var offset))
        {
            return RefuseNumberAsync(context, "offset", 0);
        }

        if (!QueueFilter.TryRead(context.Request.Query, Paging, out var selection, out var fault))
        {
            return HttpServer.WriteErrorAsync(context, StatusCodes.Status400BadRequest, fault);
        }

        QueueId? after = null;
        if (context.Request.Query["after"].ToString() is { Length: > 0 } text)
        {
            if (!QueueId.TryParse(text, out var id))
            {
                return HttpServer.WriteErrorAsync(context, StatusCodes.Status400BadRequest, "after is the id of a message");
            }

            after = id;
        }

        // One more than asked for tells whether there are more.
        var counts = queue.Counts();
        var found = queue.Administration.Select(selection, after, (int)offset + limit + 1);
        var page = found.Messages.Skip((int)offset).Take(limit).ToArray();
        var now = queue.Administration.Time();
        return HttpServer.WriteJsonAsync(context, new
        {
            total = counts.Total,
            pending = counts.Queued,
            processing = counts.Attempting,
            retry = counts.Deferred,
            held = counts.Held,
            size_bytes = counts.Octets,
            matched = found.Matched,
            messages = page.Select(message => QueueDescription.Brief(message, now)),
            next = found.Messages.Count > offset + limit ? page[^1].Id.ToString() : null,
        });
    }

    private static object Suspects(QueueAdministration queue, int limit, long after)
    {
        var found = queue.Suspects(after, limit + 1);
        return new
        {
            suspects = found.Take(limit).Select(QueueDescription.Describe),
            next = found.Count > limit ? found[limit - 1].Sequence : (long?)null,
        };
    }

    private static Task ShowAsync(HttpContext context, QueueView queue)
    {
        var administration = queue.Administration;
        return QueueId.TryParse((string?)context.Request.RouteValues["id"], out var id) && administration.Find(id) is { } message
            ? HttpServer.WriteJsonAsync(context, QueueDescription.Full(message, administration.Suspensions(), administration.Time()))
            : QueueActions.WriteNoMessageAsync(context);
    }

    private Task StatsAsync(HttpContext context, QueueView queue)
    {
        var counts = queue.Counts();
        return HttpServer.WriteJsonAsync(context, new
        {
            server = new
            {
                status = status.NotReadyReasons().Count == 0 ? "running" : "not ready",
                version = ServerStatus.Version,
                time = clock.GetUtcNow(),
            },
            uptime_seconds = (long)status.Uptime.TotalSeconds,
            total_connections = (long)Metrics.Connections.Value,
            active_connections = (long)Metrics.ConnectionsActive.Value,
            messages_received = (long)Metrics.MessagesReceived.Value,
            messages_rejected = (long)Metrics.MessagesRejected.Value,
            recipients_delivered = (long)Metrics.SentDelivered.Value,
            recipients_failed = (long)Metrics.SentFailed.Value,
            auth_successes = (long)Metrics.AuthSuccesses.Value,
            auth_failures = (long)Metrics.AuthFailures.Value,
            rate_limit_hits = (long)Metrics.RateLimitHits.Value,
            queue = new
            {
                total = counts.Total,
                pending = counts.Queued,
                processing = counts.Attempting,
                retry = counts.Deferred,
                held = counts.Held,
            },
        });
    }

    private static bool TryReadNumber(HttpContext context, string name, long maximum, long fallback, out long number)
    {
        number = fallback;
        var text = context.Request.Query[name].ToString();
        return text.Length == 0 || (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number <= maximum);
    }

    private static Task RefuseNumberAsync(HttpContext context, string name, int minimum, long maximum = MaxLimit) => HttpServer.WriteErrorAsync(
        context, StatusCodes.Status400BadRequest, FormattableString.Invariant($"{name} must be a whole number from {minimum} to {maximum}"));
}
