using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Quorumail.Core.Mail;
using Quorumail.Server.Queue.History;

namespace Quorumail.Server.Http;

/// <summary><c>/api/queue/{id}/history</c>: what has become of a message, as far as this node has noted it, also when it has left the queue.</summary>
internal sealed class HistoryEndpoints(ServerStatus status)
{
    /// <summary>Adds the path.</summary>
    public void Map(IEndpointRouteBuilder application) =>
        application.MapGet("/api/queue/{id}/history", (RequestDelegate)ShowAsync);

    private async Task ShowAsync(HttpContext context)
    {
        if (status.Queue is not { Administration: var queue })
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, "the queue is not open yet");
        }
        else if (!QueueId.TryParse((string?)context.Request.RouteValues["id"], out var id))
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status404NotFound, "that is no id of a message");
        }
        else
        {
            await ShowAsync(context, queue, id);
        }
    }

    private static async Task ShowAsync(HttpContext context, QueueAdministration queue, QueueId id)
    {
        HistoryAnswer? history;
        try
        {
            history = await queue.History(id);
        }
        catch (IOException unreadable)
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, unreadable.Message);
            return;
        }

        var message = queue.Find(id);
        if (history is null)
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, "no history is kept here: [queue] history_max_size is 0");
        }
        else if (history.Events.Count == 0 && message is null && history.Failure is { } failure)
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, $"the history can't be used: {failure}");
        }
        else if (history.Events.Count == 0 && message is null)
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status404NotFound, "this node knows of no such message: it never was, or its history is too old");
        }
        else
        {
            await HttpServer.WriteJsonAsync(context, new
            {
                id = id.ToString(),
                from = message?.ReversePath ?? history.Events[^1].ReversePath,
                created_at = DateTimeOffset.FromUnixTimeMilliseconds(id.Milliseconds),
                in_queue = message is not null,
                incomplete = history.Failure,
                events = history.Events.Select(Describe),
            });
        }
    }

    private static object Describe(HistoryEvent noted) => new
    {
        at = DateTimeOffset.FromUnixTimeMilliseconds(noted.At),
        what = QueueDescription.NameOf(noted.Kind),
        attempt = noted.Attempt,
        node = noted.Node,
        is_last = noted.IsOver,
        reason = noted.Reason,
        recipients = noted.Results.Select(result => new
        {
            to = result.To,
            outcome = QueueDescription.NameOf(result.Outcome),
            reply = result.Reply,
            status = result.EnhancedCode,
            next_hop = result.NextHop,
            next_retry_at = result.NextAttemptAt > 0 ? DateTimeOffset.FromUnixTimeMilliseconds(result.NextAttemptAt) : (DateTimeOffset?)null,
        }),
    };
}
