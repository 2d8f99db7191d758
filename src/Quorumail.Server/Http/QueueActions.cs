using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Log;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;

namespace Quorumail.Server.Http;

/// <summary>
/// What operators change in the queue, all through the log, so that it holds on every node: hold, release, requeue and delete
/// a message or whatever a filter means, suspend and resume a destination or a sender.
/// </summary>
internal sealed partial class QueueActions(ServerStatus status, ILogger log)
{
    /// <summary>Messages that one command may change: the log is not kept busy by one operator, and other commands come between.</summary>
    private const int Batch = 10_000;

    private const int MaxReason = 200;

    /// <summary>How long one command may take: longer than an election.</summary>
    private static readonly TimeSpan CommandTimeout = TimeSpan.FromSeconds(10);

    /// <summary>How long all commands of a request may take.</summary>
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(60);

    /// <summary>The longest suspension with an end. 10 years.</summary>
    private static readonly TimeSpan LongestSuspension = TimeSpan.FromDays(3650);

    /// <summary>Adds the paths.</summary>
    public void Map(IEndpointRouteBuilder application)
    {
        foreach (var (name, action) in ((string, QueueAction)[])
            [
                ("hold", QueueAction.Hold),
                ("release", QueueAction.Release),
                ("requeue", QueueAction.Requeue),
                ("retry", QueueAction.Requeue),
            ])
        {
            application.MapPost("/api/queue/" + name, Filtered(action));
            application.MapPost("/api/queue/{id}/" + name, Single(action));
        }

        application.MapDelete("/api/queue", Filtered(QueueAction.Delete));
        application.MapDelete("/api/queue/{id}", Single(QueueAction.Delete));
        application.MapPost("/api/queue/suspend", Changing(["domain", "sender", "reason", "ttl"], SuspendAsync));
        application.MapPost("/api/queue/resume", Changing(["domain", "sender"], ResumeAsync));
    }

    /// <summary>404 for an id.</summary>
    public static Task WriteNoMessageAsync(HttpContext context) => HttpServer.WriteErrorAsync(
        context, StatusCodes.Status404NotFound, $"no message {context.Request.RouteValues["id"]} in the queue");

    private static string? Query(HttpContext context, string name) =>
        context.Request.Query[name].ToString() is { Length: > 0 } text ? text : null;

    private RequestDelegate Changing(string[] known, Func<HttpContext, QueueAdministration, CancellationToken, Task> change) => async context =>
    {
        if (status.Queue is not { } queue)
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, "the queue is not open yet");
            return;
        }

        if (QueueFilter.FaultOf(context.Request.Query, known) is { } fault)
        {
            await RefuseAsync(context, fault);
            return;
        }

        if (Query(context, "reason")?.Length > MaxReason)
        {
            await RefuseAsync(context, $"a reason has at most {MaxReason} characters");
            return;
        }

        using var bound = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        bound.CancelAfter(RequestTimeout);
        await change(context, queue.Administration, bound.Token);
    };

    private RequestDelegate Single(QueueAction action) => Changing(["reason"], async (context, queue, token) =>
    {
        if (!QueueId.TryParse((string?)context.Request.RouteValues["id"], out var id))
        {
            await WriteNoMessageAsync(context);
            return;
        }

        var selection = new QueueSelection { Ids = [id] };
        var done = await ProposeAsync(queue, Command(queue, action, selection, 1, context), token);
        if (!done.IsAccepted)
        {
            await RefuseAsync(context, done);
        }
        else if (done.Matched == 0 && queue.Find(id) is null)
        {
            await WriteNoMessageAsync(context);
        }
        else
        {
            LogChanged(log, action, done.Matched, $"id={id}", Reason(context));
            await HttpServer.WriteJsonAsync(context, new { id = id.ToString(), matched = done.Matched });
        }
    });

    private RequestDelegate Filtered(QueueAction action) =>
        Changing(["sender", "recipient", "domain", "state", "status", "age", "all", "reason"], async (context, queue, token) =>
        {
            if (!QueueFilter.TryRead(context.Request.Query, ["all", "reason"], out var selection, out var fault))
            {
                await RefuseAsync(context, fault);
            }
            else if (Query(context, "all") is { } all && (all is not "true" || QueueFilter.IsAny(selection)))
            {
                await RefuseAsync(context, "all=true means every message, and stands alone");
            }
            else if (Query(context, "all") is null && !QueueFilter.IsAny(selection))
            {
                await RefuseAsync(context, "which messages? sender, recipient, domain, state or age; all=true for every message");
            }
            else
            {
                if (action == QueueAction.Release && selection.State == MessageState.Held)
                {
                    // A message that was held while it was delivered is held, but does not stand so; and only what is held is released.
                    selection = selection with { State = null };
                }

                await AdministerAsync(context, queue, Command(queue, action, selection, Batch, context), token);
            }
        });

    // As many commands as the queue needs that was there at first: what comes in faster than it is changed does not keep us here.
    private async Task AdministerAsync(HttpContext context, QueueAdministration queue, AdministerCommand command, CancellationToken token)
    {
        var total = 0L;
        var isComplete = false;
        for (var left = (status.Queue!.Counts().Total / Batch) + 2; left > 0 && !isComplete; left--)
        {
            var done = await ProposeAsync(queue, command, token);
            if (!done.IsAccepted)
            {
                LogChangedInPart(log, command.Action, total, Condition(context), done.Outcome);
                await RefuseAsync(context, done, total);
                return;
            }

            total += done.Matched;
            isComplete = !done.HasMore;
        }

        LogChanged(log, command.Action, total, Condition(context), Reason(context));
        await HttpServer.WriteJsonAsync(context, new { matched = total, complete = isComplete });
    }

    private async Task SuspendAsync(HttpContext context, QueueAdministration queue, CancellationToken token)
    {
        if (!TryReadSubject(context, out var scope, out var name))
        {
            await RefuseSubjectAsync(context);
            return;
        }

        var expiry = 0L;
        if (Query(context, "ttl") is { } text)
        {
            if (!TimeToLive.TryParse(text, out var span) || span > LongestSuspension)
            {
                await RefuseAsync(context, $"ttl is a number of seconds, or a number with ms, s, m, h or d, of at most {LongestSuspension.TotalDays} d");
                return;
            }

            expiry = queue.Time() + (long)span.TotalMilliseconds;
        }

        var done = await ProposeAsync(queue, new SuspendCommand(scope, name, Query(context, "reason") ?? "", expiry), token);
        if (!done.IsAccepted)
        {
            await RefuseAsync(context, done);
            return;
        }

        LogSuspended(log, Named(context), expiry == 0 ? "resumed" : DateTimeOffset.FromUnixTimeMilliseconds(expiry).ToString("u", CultureInfo.InvariantCulture), Reason(context));
        var kept = queue.Suspensions().FirstOrDefault(s => s.Scope == scope && s.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
        await HttpServer.WriteJsonAsync(context, QueueDescription.Describe(kept ?? new Suspension(scope, name, "", queue.Time(), expiry)));
    }

    private async Task ResumeAsync(HttpContext context, QueueAdministration queue, CancellationToken token)
    {
        if (!TryReadSubject(context, out var scope, out var name))
        {
            await RefuseSubjectAsync(context);
            return;
        }

        var done = await ProposeAsync(queue, new ResumeCommand(scope, name), token);
        if (done.IsAccepted)
        {
            LogResumed(log, Named(context));
        }

        await (done switch
        {
            { IsAccepted: true } => HttpServer.WriteJsonAsync(context, new { resumed = name }),
            { Outcome: ProposalOutcome.Applied, Status: ApplyStatus.NotFound } =>
                HttpServer.WriteErrorAsync(context, StatusCodes.Status404NotFound, $"{(name.Length > 0 ? name : "<>")} is not suspended"),
            _ => RefuseAsync(context, done),
        });
    }

    private static AdministerCommand Command(QueueAdministration queue, QueueAction action, QueueSelection selection, int limit, HttpContext context) =>
        new(action, selection, limit, Query(context, "reason") ?? "") { IncludesDue = action == QueueAction.Requeue && queue.KnowRequeueOfDue() };

    private static string Condition(HttpContext context) =>
        string.Join(' ', context.Request.Query.Where(q => q.Key is not "reason").Select(q => $"{q.Key}={q.Value}"));

    private static string Reason(HttpContext context) => Query(context, "reason") is { } reason ? $"; reason: {reason}" : "";

    private static string Named(HttpContext context) => Query(context, "domain") is { } domain ? $"domain {domain}" : $"sender {Query(context, "sender")}";

    private static bool TryReadSubject(HttpContext context, out SuspensionScope scope, out string name)
    {
        var domain = Query(context, "domain");
        var sender = Query(context, "sender");
        scope = domain is not null ? SuspensionScope.Destination : SuspensionScope.Sender;
        name = domain?.TrimEnd('.') ?? QueueFilter.Address(sender ?? "");
        return domain is null != sender is null && (scope == SuspensionScope.Sender || name.Length > 0);
    }

    private static Task RefuseSubjectAsync(HttpContext context) =>
        RefuseAsync(context, "either domain or sender is needed; the null sender is <>");

    private static async Task<QueueProposal> ProposeAsync(QueueAdministration queue, QueueCommand command, CancellationToken token)
    {
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(CommandTimeout);
        return await queue.Propose(command, bound.Token);
    }

    private static Task RefuseAsync(HttpContext context, string reason) =>
        HttpServer.WriteErrorAsync(context, StatusCodes.Status400BadRequest, reason);

    private static Task RefuseAsync(HttpContext context, in QueueProposal done, long? matched = null)
    {
        if (done.Outcome == ProposalOutcome.Applied)
        {
            return done.Status == ApplyStatus.Conflict
                ? HttpServer.WriteErrorAsync(context, StatusCodes.Status409Conflict, "too many are suspended already: resume some first")
                : RefuseAsync(context, "the queue refuses this: a name is too long, or a time is over");
        }

        // Who reads only the status may try again; who must know whether it happened reads the outcome.
        context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
        context.Response.Headers.RetryAfter = "1";
        var isUnknown = done.Outcome == ProposalOutcome.Unknown;
        var reason = done.Reason ?? (isUnknown ? "whether it has happened is unknown" : "there is no majority");
        return matched is null
            ? HttpServer.WriteJsonAsync(context, new { error = reason, outcome = isUnknown ? "unknown" : "refused" })
            : HttpServer.WriteJsonAsync(context, new { error = reason, outcome = isUnknown ? "unknown" : "refused", matched });
    }

    [LoggerMessage(1, LogLevel.Information, "an operator's {Action} changed {Count} messages ({Which}){Reason}")]
    private static partial void LogChanged(ILogger log, QueueAction action, long count, string which, string reason);

    [LoggerMessage(2, LogLevel.Warning, "an operator's {Action} was not done to its end: {Count} messages were changed ({Which}), then the outcome was {Outcome}")]
    private static partial void LogChangedInPart(ILogger log, QueueAction action, long count, string which, ProposalOutcome outcome);

    [LoggerMessage(3, LogLevel.Information, "an operator suspended {Subject} until {End}{Reason}")]
    private static partial void LogSuspended(ILogger log, string subject, string end, string reason);

    [LoggerMessage(4, LogLevel.Information, "an operator resumed {Subject}")]
    private static partial void LogResumed(ILogger log, string subject);
}
