using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

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
    private static readonly string[] ListParameters = ["after", "limit"];

    /// <summary>Adds the paths.</summary>
    public void Map(IEndpointRouteBuilder application)
    {
        application.MapGet("/api/queue", (RequestDelegate)(context => WithQueueAsync(context, ListAsync)));
        application.MapGet("/api/queue/domains", Listing(Domains));
        application.MapGet("/api/queue/removals", Listing(Removals));
        application.MapGet("/api/queue/suspects", Listing(Suspects));
        application.MapGet("/api/queue/suspensions", Listing(Suspensions));
        application.MapGet("/api/queue/{id}", (RequestDelegate)(context => WithQueueAsync(context, ShowAsync)));
        application.MapGet("/api/stats", (RequestDelegate)(context => WithQueueAsync(context, StatsAsync)));
    }

    private Task WithQueueAsync(HttpContext context, Func<HttpContext, QueueView, Task> answer) =>
        status.Queue is { } queue
            ? answer(context, queue)
            : HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, "the queue is not open yet");

    /// <param name="list">Makes the answer; after is null if none was given.</param>
    private RequestDelegate Listing(Func<QueueAdministration, int, long?, object> list) => context =>
        WithQueueAsync(context, (_, queue) =>
            QueueFilter.FaultOf(context.Request.Query, ListParameters) is { } fault ? HttpServer.WriteErrorAsync(context, StatusCodes.Status400BadRequest, fault)
            : !HttpServer.TryReadLimit(context, DefaultLimit, MaxLimit, out var limit) ? RefuseNumberAsync(context, "limit", 1)
            : !TryReadNumber(context, "after", long.MaxValue, -1, out var after) ? RefuseNumberAsync(context, "after", 0, long.MaxValue)
            : HttpServer.WriteJsonAsync(context, list(queue.Administration, limit, after < 0 ? null : after)));

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
        var reasons = new WaitReasons(queue.Administration);
        var hasMajority = status.Cluster?.HasQuorum ?? true;
        return HttpServer.WriteJsonAsync(context, new
        {
            quorum = hasMajority,
            as_of = QueueDescription.TimeOrNull(hasMajority ? reasons.Now : queue.Administration.AppliedAt()),
            total = counts.Total,
            pending = counts.Queued,
            processing = counts.Attempting,
            retry = counts.Deferred,
            held = counts.Held,
            size_bytes = counts.Octets,
            matched = found.Matched,
            messages = page.Select(message => QueueDescription.Brief(message, reasons)),
            next = found.Messages.Count > offset + limit ? page[^1].Id.ToString() : null,
        });
    }

    // What has no number of its own is numbered as it is listed: after leaves out so many.
    private static object Domains(QueueAdministration queue, int limit, long? after)
    {
        var domains = queue.CountsByDomain();
        var reasons = new WaitReasons(queue);
        return new
        {
            total = domains.Count,
            domains = domains.Skip(Skipped(after)).Take(limit).Select(counts => QueueDescription.Describe(counts, reasons.OfDomain(counts.Domain))),
            next = NextOf(domains.Count, after, limit),
        };
    }

    private static object Suspensions(QueueAdministration queue, int limit, long? after)
    {
        var now = queue.Time();
        Suspension[] suspensions = [.. queue.Suspensions().Where(s => s.IsInForce(now))];
        return new
        {
            total = suspensions.Length,
            suspensions = suspensions.Skip(Skipped(after)).Take(limit).Select(QueueDescription.Describe),
            next = NextOf(suspensions.Length, after, limit),
        };
    }

    private static int Skipped(long? after) => (int)Math.Min(after ?? 0, int.MaxValue);

    private static long? NextOf(int total, long? after, int limit) => total - (after ?? 0) > limit ? (after ?? 0) + limit : null;

    private static object Removals(QueueAdministration queue, int limit, long? after)
    {
        var found = queue.Removals(after ?? long.MaxValue, limit + 1);
        return new
        {
            total = queue.RemovalCount(),
            removals = found.Take(limit).Select(QueueDescription.Describe),
            next = found.Count > limit ? found[limit - 1].Sequence : (long?)null,
        };
    }

    private static object Suspects(QueueAdministration queue, int limit, long? after)
    {
        var found = queue.Suspects(after ?? -1, limit + 1);
        var (listed, overflowed) = queue.SuspectCounts();
        return new
        {
            total = listed,
            overflowed,
            suspects = found.Take(limit).Select(QueueDescription.Describe),
            next = found.Count > limit ? found[limit - 1].Sequence : (long?)null,
        };
    }

    private static Task ShowAsync(HttpContext context, QueueView queue)
    {
        var administration = queue.Administration;
        return QueueId.TryParse((string?)context.Request.RouteValues["id"], out var id) && administration.Find(id) is { } message
            ? HttpServer.WriteJsonAsync(context, QueueDescription.Full(message, new WaitReasons(administration)))
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
