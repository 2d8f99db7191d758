using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Http;

/// <summary>What can be asked about the queue: <c>/api/queue</c>, <c>/api/queue/suspects</c>, <c>/api/stats</c>.</summary>
internal sealed class QueueEndpoints(ServerStatus status, TimeProvider clock)
{
    private const int DefaultLimit = 100;
    private const int MaxLimit = 10_000;

    /// <summary>Adds the paths.</summary>
    public void Map(IEndpointRouteBuilder application)
    {
        application.MapGet("/api/queue", (RequestDelegate)(context => WithQueueAsync(context, ListAsync)));
        application.MapGet("/api/queue/suspects", (RequestDelegate)(context => WithQueueAsync(context, SuspectsAsync)));
        application.MapGet("/api/stats", (RequestDelegate)(context => WithQueueAsync(context, StatsAsync)));
    }

    private Task WithQueueAsync(HttpContext context, Func<HttpContext, QueueView, Task> answer) =>
        status.Queue is { } queue
            ? answer(context, queue)
            : HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, "the queue is not open yet");

    private Task ListAsync(HttpContext context, QueueView queue)
    {
        if (!HttpServer.TryReadLimit(context, DefaultLimit, MaxLimit, out var limit))
        {
            return RefuseLimitAsync(context);
        }

        var counts = queue.Counts();
        return HttpServer.WriteJsonAsync(context, new
        {
            total = counts.Total,
            pending = counts.Queued,
            processing = counts.Attempting,
            retry = counts.Deferred,
            size_bytes = counts.Octets,
            messages = queue.Messages(limit).Select(Describe),
        });
    }

    private static Task SuspectsAsync(HttpContext context, QueueView queue)
    {
        if (!HttpServer.TryReadLimit(context, DefaultLimit, MaxLimit, out var limit))
        {
            return RefuseLimitAsync(context);
        }

        return HttpServer.WriteJsonAsync(context, new
        {
            suspects = queue.Suspects(limit).Select(suspect => new
            {
                id = suspect.Id.ToString(),
                recipient = suspect.Recipient,
                attempt = suspect.Attempt,
                reason = ReasonName(suspect.Reason),
                listed_at = Time(suspect.ListedAt),
                detail = suspect.Detail,
            }),
        });
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
            },
        });
    }

    private static object Describe(QueuedMessage message) => new
    {
        id = message.Id.ToString(),
        from = message.ReversePath,
        size = message.Size,
        created_at = Time(message.EnqueuedAt),
        recipients = message.Recipients.Select(recipient => new
        {
            to = recipient.Envelope.Address,
            status = recipient.State.ToString().ToLowerInvariant(),
            attempts = recipient.Attempts,
            next_retry_at = recipient.NextAttemptAt > 0 && !recipient.IsFinal ? Time(recipient.NextAttemptAt) : (DateTimeOffset?)null,
            last_error = recipient.LastResult?.Reply,
            next_hop = recipient.LastResult?.NextHop,
        }),
    };

    /// <summary>The name of a reason in JSON and on the command line.</summary>
    internal static string ReasonName(SuspectReason reason) => reason switch
    {
        SuspectReason.NoReplyAfterDot => "no-reply-after-dot",
        SuspectReason.OwnerLost => "owner-lost",
        SuspectReason.Answered451 => "answered-451",
        SuspectReason.Unread250 => "250-unread",
        _ => reason.ToString(),
    };

    private static DateTimeOffset Time(long milliseconds) => DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);

    private static Task RefuseLimitAsync(HttpContext context) =>
        HttpServer.WriteErrorAsync(context, StatusCodes.Status400BadRequest, "limit must be a whole number from 1 to 10000");
}
