using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Quorumail.Cluster.State;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Server.Http;

/// <summary>
/// Shared state over HTTP. <c>/api/cluster/state/{key}</c>: GET answers the value as it is, PUT takes it as the body, DELETE
/// deletes; the version is the ETag, and <c>If-Match</c> and <c>If-None-Match: *</c> make a write conditional.
/// <c>/api/cluster/state?prefix=</c> lists keys.
/// </summary>
internal sealed class StateEndpoints(ServerStatus status)
{
    /// <summary>The keys are below it.</summary>
    public const string Path = "/api/cluster/state";
    private const int DefaultLimit = 100;

    private static readonly StateLimits Limits = new();

    /// <summary>Adds the paths.</summary>
    public void Map(IEndpointRouteBuilder application)
    {
        application.MapGet(Path, (RequestDelegate)(context => WithStoreAsync(context, ListAsync)));
        application.MapGet(Path + "/{**key}", (RequestDelegate)(context => WithStoreAsync(context, GetAsync)));
        application.MapPut(Path + "/{**key}", (RequestDelegate)(context => WithStoreAsync(context, PutAsync)));
        application.MapDelete(Path + "/{**key}", (RequestDelegate)(context => WithStoreAsync(context, DeleteAsync)));
    }

    private async Task WithStoreAsync(HttpContext context, Func<HttpContext, StateStore, Task> answer)
    {
        if (status.Cluster?.Store is not { } store)
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, "shared state is not open on this node");
            return;
        }

        try
        {
            await answer(context, store);
        }
        catch (StateException fault)
        {
            await RefuseAsync(context, fault);
        }
    }

    private static Task RefuseAsync(HttpContext context, StateException fault)
    {
        context.Response.StatusCode = fault.Fault switch
        {
            StateFault.InvalidKey or StateFault.InvalidTimeToLive => StatusCodes.Status400BadRequest,
            StateFault.ValueTooLarge => StatusCodes.Status413PayloadTooLarge,
            StateFault.Full => StatusCodes.Status507InsufficientStorage,
            _ => StatusCodes.Status503ServiceUnavailable,
        };
        if (fault.Fault is StateFault.Unavailable or StateFault.Unknown)
        {
            context.Response.Headers.RetryAfter = "1";
        }

        // Who reads only the status may try again; who must know whether it happened reads the outcome.
        return HttpServer.WriteJsonAsync(context, new { error = fault.Message, outcome = fault.Fault == StateFault.Unknown ? "unknown" : "refused" });
    }

    private static async Task ListAsync(HttpContext context, StateStore store)
    {
        if (!HttpServer.TryReadLimit(context, DefaultLimit, Limits.PageMax, out var limit))
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status400BadRequest, $"limit must be a whole number from 1 to {Limits.PageMax}");
            return;
        }

        if (await ReadConsistencyAsync(context) is not { } consistency)
        {
            return;
        }

        var query = context.Request.Query;
        var after = query["after"].ToString();
        var page = await store.ListAsync(query["prefix"].ToString(), after.Length > 0 ? after : null, limit, consistency, context.RequestAborted);
        await HttpServer.WriteJsonAsync(context, new
        {
            keys = page.Entries.Select(entry => new
            {
                key = entry.Key,
                version = entry.Version,
                size = entry.Value.Length,
                modified_at = DateTimeOffset.FromUnixTimeMilliseconds(entry.ModifiedAt),
                expires_at = entry.ExpiresAt == 0 ? (DateTimeOffset?)null : DateTimeOffset.FromUnixTimeMilliseconds(entry.ExpiresAt),
            }),
            next = page.NextKey,
            version = page.Version,
        });
    }

    private static async Task GetAsync(HttpContext context, StateStore store)
    {
        if (await ReadConsistencyAsync(context) is not { } consistency)
        {
            return;
        }

        var key = KeyOf(context);
        if (await store.GetAsync(key, consistency, context.RequestAborted) is not { } entry)
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status404NotFound, "no such key");
            return;
        }

        context.Response.ContentType = "application/octet-stream";
        context.Response.ContentLength = entry.Value.Length;
        context.Response.Headers.ETag = Tag(entry.Version);
        await context.Response.BodyWriter.WriteAsync(entry.Value, context.RequestAborted);
    }

    private static async Task PutAsync(HttpContext context, StateStore store)
    {
        TimeSpan? timeToLive = null;
        if (context.Request.Query["ttl"].ToString() is { Length: > 0 } text)
        {
            if (!TimeToLive.TryParse(text, out var span))
            {
                await HttpServer.WriteErrorAsync(
                    context, StatusCodes.Status400BadRequest, "ttl is a number of seconds, or a number with ms, s, m, h or d, of a millisecond at least");
                return;
            }

            timeToLive = span;
        }

        if (!TryReadCondition(context.Request, out var expected))
        {
            await RefuseConditionAsync(context);
            return;
        }

        if (await ReadBodyAsync(context) is not { } value)
        {
            return;
        }

        var key = KeyOf(context);
        StateWrite write;
        if (expected is { } version)
        {
            write = await store.CompareAndSetAsync(key, version, value, timeToLive, context.RequestAborted);
        }
        else
        {
            write = new StateWrite(true, await store.SetAsync(key, value, timeToLive, context.RequestAborted));
        }

        await AnswerWriteAsync(context, key, write);
    }

    private static async Task DeleteAsync(HttpContext context, StateStore store)
    {
        if (!TryReadCondition(context.Request, out var expected))
        {
            await RefuseConditionAsync(context);
            return;
        }

        var key = KeyOf(context);
        if (expected is { } version)
        {
            await AnswerWriteAsync(context, key, await store.CompareAndDeleteAsync(key, version, context.RequestAborted));
            return;
        }

        if (!await store.DeleteAsync(key, context.RequestAborted))
        {
            await HttpServer.WriteErrorAsync(context, StatusCodes.Status404NotFound, "no such key");
            return;
        }

        await HttpServer.WriteJsonAsync(context, new { key, deleted = true });
    }

    private static Task AnswerWriteAsync(HttpContext context, string key, StateWrite write)
    {
        if (write.Version > 0)
        {
            context.Response.Headers.ETag = Tag(write.Version);
        }

        if (!write.IsDone)
        {
            return HttpServer.WriteErrorAsync(
                context,
                StatusCodes.Status412PreconditionFailed,
                write.Version == 0 ? "there is no such key" : FormattableString.Invariant($"the key has version {write.Version}"));
        }

        return HttpServer.WriteJsonAsync(context, new { key, version = write.Version });
    }

    private static async Task<ReadConsistency?> ReadConsistencyAsync(HttpContext context)
    {
        switch (context.Request.Query["read"].ToString())
        {
            case "" or "local":
                return ReadConsistency.Local;
            case "leader":
                return ReadConsistency.Leader;
            case "linearizable":
                return ReadConsistency.Linearizable;
            default:
                await HttpServer.WriteErrorAsync(context, StatusCodes.Status400BadRequest, "read is local, leader or linearizable");
                return null;
        }
    }

    private static async Task<byte[]?> ReadBodyAsync(HttpContext context)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } feature)
        {
            feature.MaxRequestBodySize = Limits.ValueMax;
        }

        try
        {
            using var body = new MemoryStream((int)Math.Clamp(context.Request.ContentLength ?? 0, 0, Limits.ValueMax));
            await context.Request.Body.CopyToAsync(body, context.RequestAborted);
            return body.ToArray();
        }
        catch (BadHttpRequestException fault)
        {
            await HttpServer.WriteErrorAsync(
                context,
                fault.StatusCode,
                fault.StatusCode == StatusCodes.Status413PayloadTooLarge ? $"a value has at most {Limits.ValueMax} bytes" : fault.Message);
            return null;
        }
    }

    // If-Match: "version", or If-None-Match: * (version 0: there is no such key).
    private static bool TryReadCondition(HttpRequest request, out long? expected)
    {
        expected = null;
        var match = request.Headers.IfMatch.ToString();
        var noneMatch = request.Headers.IfNoneMatch.ToString();
        if (noneMatch.Length > 0)
        {
            expected = 0;
            return match.Length == 0 && noneMatch is "*";
        }

        if (match.Length == 0)
        {
            return true;
        }

        var isVersion = long.TryParse(match.Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture, out var version);
        expected = version;
        return isVersion;
    }

    private static Task RefuseConditionAsync(HttpContext context) => HttpServer.WriteErrorAsync(
        context, StatusCodes.Status400BadRequest, "a condition is If-Match: \"version\", or If-None-Match: *");

    private static string Tag(long version) => FormattableString.Invariant($"\"{version}\"");

    // The path as it was sent: a slash in a key may come as it is or as %2F.
    private static string KeyOf(HttpContext context)
    {
        var target = context.Features.Get<IHttpRequestFeature>()?.RawTarget ?? "";
        var start = target.IndexOf(Path + "/", StringComparison.Ordinal);
        if (start < 0)
        {
            return (string?)context.Request.RouteValues["key"] ?? "";
        }

        var end = target.IndexOf('?', StringComparison.Ordinal);
        return Uri.UnescapeDataString(target[(start + Path.Length + 1)..(end < 0 ? target.Length : end)]);
    }
}
