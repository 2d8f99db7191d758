using System.Net;
using Microsoft.Extensions.Logging;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;

namespace Quorumail.Server.Hosting;

/// <summary>The first lines of a run: what listens where, where mail is kept and how safely, what to try.</summary>
internal static partial class Banner
{
    /// <summary>Logs them.</summary>
    public static void Write(ILogger log, LoadedConfig loaded, MailServer server)
    {
        foreach (var warning in loaded.Warnings)
        {
            LogWarning(log, warning);
        }

        var options = loaded.Options;
        LogVersion(log, ServerStatus.Version, options.Server.Hostname, loaded.File ?? "none, defaults only");
        foreach (var (endPoint, listener) in server.SmtpEndPoints)
        {
            LogListener(
                log,
                endPoint,
                listener.Role.ToString().ToLowerInvariant(),
                options.Tls.IsConfigured ? listener.Tls.ToString().ToLowerInvariant() : "none (no certificate)");
        }

        LogHttp(log, server.HttpEndPoint, options.Http.Token.Length > 0 ? "with the token" : "without a token, on this machine only");
        if (server.HealthEndPoint is { } health)
        {
            LogHealth(log, health);
        }

        if (server.ClusterEndPoint is { } cluster)
        {
            LogCluster(log, options.Cluster.EffectiveNodeId, cluster, Path.GetFullPath(options.Storage.Path));
            LogClusterDurability(log);
            if (options.Cluster.MinCopies > 0)
            {
                LogMinCopies(log, options.Cluster.MinCopies);
            }

            return;
        }

        LogData(log, Path.GetFullPath(options.Storage.Path), server.Recovered);
        LogDurability(log);
        LogTry(log, server.SmtpEndPoints[0].EndPoint.Port, options.Storage.EffectiveMaildirPath);
    }

    [LoggerMessage(LogLevel.Warning, "{Warning}")]
    private static partial void LogWarning(ILogger log, string warning);

    [LoggerMessage(LogLevel.Information, "Quorumail {Version} as {Hostname}, configuration file: {File}")]
    private static partial void LogVersion(ILogger log, string version, string hostname, string file);

    [LoggerMessage(LogLevel.Information, "SMTP on {EndPoint}, role {Role}, tls {Tls}")]
    private static partial void LogListener(ILogger log, IPEndPoint endPoint, string role, string tls);

    [LoggerMessage(LogLevel.Information, "HTTP on {EndPoint}: /healthz /readyz /metrics /api/queue, {Token}")]
    private static partial void LogHttp(ILogger log, IPEndPoint endPoint, string token);

    [LoggerMessage(LogLevel.Information, "health and metrics also on {EndPoint}")]
    private static partial void LogHealth(ILogger log, IPEndPoint endPoint);

    [LoggerMessage(LogLevel.Information, "node {Node} of a cluster on {EndPoint}, data in {Path}")]
    private static partial void LogCluster(ILogger log, string node, IPEndPoint endPoint, string path);

    [LoggerMessage(LogLevel.Information, "durability: 250 means that message and envelope are fsynced on a majority of the members; SMTP opens when there is one")]
    private static partial void LogClusterDurability(ILogger log);

    // How many members there are is not known yet.
    [LoggerMessage(LogLevel.Information, "[cluster] min_copies = {Count}: where a majority is more, 250 means so many disks only for messages that do not travel in the log; cluster status says so")]
    private static partial void LogMinCopies(ILogger log, int count);

    [LoggerMessage(LogLevel.Information, "data in {Path}, {Count} messages in the queue")]
    private static partial void LogData(ILogger log, string path, int count);

    [LoggerMessage(LogLevel.Information, "durability: one node; 250 means that message and envelope are fsynced on this disk")]
    private static partial void LogDurability(ILogger log);

    [LoggerMessage(LogLevel.Information, "to try it: echo Hello | curl --crlf smtp://127.0.0.1:{Port} --mail-from you@example.org --mail-rcpt postmaster@localhost -T - ; ls {Maildir}/postmaster/new")]
    private static partial void LogTry(ILogger log, int port, string maildir);
}
