using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Quorumail.Core.Limits;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Http;

/// <summary><c>/api/limits</c>: the limits that all nodes share, and how much of them is granted, as this node has it from the log.</summary>
internal sealed class LimitEndpoints(ServerStatus status)
{
    /// <summary>Adds the path.</summary>
    public void Map(IEndpointRouteBuilder application) => application.MapGet("/api/limits", (RequestDelegate)ListAsync);

    private Task ListAsync(HttpContext context)
    {
        if (status.Queue is not { } queue)
        {
            return HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, "the queue is not open yet");
        }

        var now = queue.Administration.Time();
        return HttpServer.WriteJsonAsync(context, new { limits = queue.Limits().Select(usage => Describe(usage, now)) });
    }

    private static object Describe(LimitUsage usage, long now)
    {
        var limit = usage.Limit;
        return new
        {
            name = limit.Name,
            kind = limit.Kind == LimitKind.Rate ? "rate" : "concurrency",
            capacity = limit.Capacity,
            period_seconds = limit.Period / 1000.0,
            policy = limit.Policy == LimitPolicy.Share ? "share" : "closed",
            reserved = usage.Reserved,
            keys = usage.Keys,
            granted = usage.Granted,
            fullest = usage.Fullest is null ? null : new { key = usage.Fullest, granted = usage.FullestGranted },
            window_ends_at = limit.Kind == LimitKind.Rate ? DateTimeOffset.FromUnixTimeMilliseconds(limit.EndOf(now)) : (DateTimeOffset?)null,
            refused = (long)Metrics.LimitRefusals.WithLabels(limit.Name).Value,
        };
    }
}
