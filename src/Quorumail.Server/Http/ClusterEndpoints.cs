using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Quorumail.Cluster;

namespace Quorumail.Server.Http;

/// <summary>
/// The cluster over HTTP: <c>/api/cluster/status</c>, <c>/nodes</c>, <c>/nodes/{id}</c> and <c>/replication/stats</c> as the
/// guide prints them with some fields more, what happened lately, and what an operator may do. Shared state is in
/// <see cref="StateEndpoints"/>.
/// </summary>
internal sealed class ClusterEndpoints(ServerStatus status)
{
    private const int DefaultLimit = 100;
    private const int MaxLimit = 1000;

    /// <summary>How long an operator's request may take: longer than an election and a transfer.</summary>
    private static readonly TimeSpan ActionTimeout = TimeSpan.FromSeconds(60);

    /// <summary>Adds the paths.</summary>
    public void Map(IEndpointRouteBuilder application)
    {
        application.MapGet("/api/cluster/status", (RequestDelegate)(context => WithClusterAsync(context, StatusAsync)));
        application.MapGet("/api/cluster/nodes", (RequestDelegate)(context => WithClusterAsync(context, NodesAsync)));
        application.MapGet("/api/cluster/nodes/{id}", (RequestDelegate)(context => WithClusterAsync(context, NodeAsync)));
        application.MapGet("/api/cluster/replication/stats", (RequestDelegate)(context => WithClusterAsync(context, ReplicationAsync)));
        application.MapGet("/api/cluster/events", (RequestDelegate)(context => WithClusterAsync(context, EventsAsync)));
        application.MapPost("/api/cluster/election", Action((cluster, _, token) => cluster.StartElectionAsync(token)));
        application.MapPost("/api/cluster/transfer", Action((cluster, context, token) =>
            cluster.TransferAsync(Query(context, "target"), token)));
        application.MapPost("/api/cluster/join", Action((cluster, context, token) =>
            cluster.JoinAsync(Query(context, "address") ?? throw new FormatException("?address=host:port is needed"), token)));
        application.MapPost("/api/cluster/leave", Action((cluster, context, token) => cluster.LeaveAsync(IsForced(context), token)));
        application.MapDelete("/api/cluster/nodes/{id}", Action((cluster, context, token) =>
            cluster.RemoveAsync((string)context.Request.RouteValues["id"]!, IsForced(context), token)));
        application.MapGet("/api/cluster/drain", Action((_, _, _) => Task.CompletedTask, DrainAsync));
        application.MapPost("/api/cluster/drain", Action((cluster, context, token) => cluster.DrainAsync(NodeOf(context, cluster), token), DrainAsync));
        application.MapDelete("/api/cluster/drain", Action((cluster, context, token) => cluster.CancelDrainAsync(NodeOf(context, cluster), token), DrainAsync));
    }

    private static string? Query(HttpContext context, string name) =>
        context.Request.Query[name].ToString() is { Length: > 0 } text ? text : null;

    private static string NodeOf(HttpContext context, IClusterView cluster) => Query(context, "node") ?? cluster.LocalNode.Id;

    private static bool IsForced(HttpContext context) => Query(context, "force") switch
    {
        null or "false" => false,
        "true" => true,
        _ => throw new FormatException("force must be true or false"),
    };

    private Task WithClusterAsync(HttpContext context, Func<HttpContext, IClusterView, Task> answer) =>
        status.Cluster is { } cluster
            ? answer(context, cluster)
            : HttpServer.WriteErrorAsync(context, StatusCodes.Status503ServiceUnavailable, "the cluster is not known yet");

    // What an operator asks for either is done when it is answered, or the answer says why not.
    private RequestDelegate Action(
        Func<IClusterView, HttpContext, CancellationToken, Task> act, Func<HttpContext, IClusterView, Task>? answer = null) => context =>
        WithClusterAsync(context, async (_, cluster) =>
        {
            using var bound = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
            bound.CancelAfter(ActionTimeout);
            try
            {
                await act(cluster, context, bound.Token);
                await (answer ?? StatusAsync)(context, cluster);
            }
            catch (Exception fault) when (fault is ArgumentException or FormatException)
            {
                await HttpServer.WriteErrorAsync(context, StatusCodes.Status400BadRequest, fault.Message);
            }
            catch (KeyNotFoundException unknown)
            {
                await HttpServer.WriteErrorAsync(context, StatusCodes.Status404NotFound, unknown.Message);
            }
            catch (Exception refusal) when (refusal is InvalidOperationException or IOException or TimeoutException)
            {
                await HttpServer.WriteErrorAsync(
                    context,
                    cluster.HasQuorum ? StatusCodes.Status409Conflict : StatusCodes.Status503ServiceUnavailable,
                    refusal.Message);
            }
            catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
            {
                await HttpServer.WriteErrorAsync(
                    context, StatusCodes.Status503ServiceUnavailable, $"not done within {ActionTimeout.TotalSeconds} s; it may happen still");
            }
        });

    private static Task DrainAsync(HttpContext context, IClusterView cluster)
    {
        var progress = cluster.LookAtDrain(NodeOf(context, cluster));
        return HttpServer.WriteJsonAsync(context, new
        {
            node = progress.Node,
            draining = progress.IsDraining,
            done = progress.IsDone,
            leads = progress.Leads,
            sessions = progress.Sessions,
            owned = progress.Owned,
            held = progress.Disk.Held,
            copies_missing = progress.Disk.TooFew,
            only_copy = progress.Disk.Only,
            wanted_copies = progress.WantedCopies,
            waits_for = progress.WaitsFor,
            stuck = progress.Stuck,
        });
    }

    private Task StatusAsync(HttpContext context, IClusterView cluster)
    {
        var durability = status.Queue?.Durability();
        var stats = cluster.Stats;
        var local = cluster.LocalNode;
        return HttpServer.WriteJsonAsync(context, new
        {
            total_nodes = stats.TotalNodes,
            healthy_nodes = stats.HealthyNodes,
            unhealthy_nodes = stats.UnhealthyNodes,
            leader_id = stats.LeaderId,
            local_node = new
            {
                id = local.Id,
                role = Name(local.Role),
                status = Name(local.Status),
                uptime_seconds = (long)local.Uptime.TotalSeconds,
                reason = local.Reason,
            },
            degraded_nodes = stats.DegradedNodes,
            term = cluster.Term,
            commit_index = cluster.CommitIndex,
            applied_index = cluster.AppliedIndex,
            quorum = cluster.HasQuorum,
            mode = cluster.IsCluster ? "cluster" : "standalone",
            min_copies = durability?.MinCopies,
            majority = durability?.Majority,
            weakness = status.Queue?.Weakness,
        });
    }

    private static Task NodesAsync(HttpContext context, IClusterView cluster) =>
        HttpServer.WriteJsonAsync(context, new { nodes = cluster.Nodes.Select(Describe) });

    private static Task NodeAsync(HttpContext context, IClusterView cluster)
    {
        var id = (string)context.Request.RouteValues["id"]!;
        return cluster.Nodes.FirstOrDefault(node => string.Equals(node.Id, id, StringComparison.Ordinal)) is { } found
            ? HttpServer.WriteJsonAsync(context, Describe(found))
            : HttpServer.WriteErrorAsync(context, StatusCodes.Status404NotFound, $"no node {id} in this cluster");
    }

    private static Task ReplicationAsync(HttpContext context, IClusterView cluster)
    {
        var stats = cluster.Replication;
        var nodes = cluster.Nodes;
        return HttpServer.WriteJsonAsync(context, new
        {
            pending_updates = stats.Pending + nodes.Max(node => node.Lag ?? 0),
            failed_replications = stats.Failed,
            avg_latency_ms = Math.Round(stats.AverageLatency.TotalMilliseconds, 2),
            replications = stats.Replications,
            waiting = stats.Pending,
            nodes = nodes.Select(node => new
            {
                id = node.Id,
                matched_index = node.MatchedIndex,
                lag = node.Lag,
                rtt_ms = Milliseconds(node.RoundTrip),
            }),
        });
    }

    private static Task EventsAsync(HttpContext context, IClusterView cluster)
    {
        if (!HttpServer.TryReadLimit(context, DefaultLimit, MaxLimit, out var limit))
        {
            return HttpServer.WriteErrorAsync(context, StatusCodes.Status400BadRequest, $"limit must be a whole number from 1 to {MaxLimit}");
        }

        return HttpServer.WriteJsonAsync(context, new
        {
            events = cluster.Events.TakeLast(limit).Select(happened => new
            {
                time = happened.Time,
                kind = happened.Kind,
                term = happened.Term,
                text = happened.Text,
            }),
        });
    }

    private static object Describe(ClusterNodeView node) => new
    {
        id = node.Id,
        address = node.Address,
        port = node.Port,
        role = Name(node.Role),
        status = Name(node.Status),
        last_heartbeat = node.LastHeartbeat,
        metadata = node.Metadata is not { } metadata ? null : new
        {
            version = metadata.Version,
            uptime_seconds = metadata.UptimeSeconds,
            active_connections = metadata.ActiveConnections,
            messages_processed = metadata.MessagesProcessed,
            cpu_usage = Math.Round(metadata.CpuUsage, 1),
            memory_usage_mb = metadata.MemoryUsageMb,
        },
        reason = node.Reason,
        voter = node.IsVoter,
        incarnation = node.Incarnation,
        rtt_ms = Milliseconds(node.RoundTrip),
        matched_index = node.MatchedIndex,
        lag = node.Lag,
    };

    private static double? Milliseconds(TimeSpan? span) => span is { } value ? Math.Round(value.TotalMilliseconds, 3) : null;

    private static string Name<T>(T value)
        where T : struct, Enum => value.ToString().ToLowerInvariant();
}
