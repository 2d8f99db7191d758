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
            LogListener(log, endPoint, listener.Role.ToString().ToLowerInvariant(), listener.Tls.ToString().ToLowerInvariant());
        }

        LogHttp(log, server.HttpEndPoint, options.Http.Token.Length > 0 ? "with the token" : "without a token, on this machine only");
        LogData(log, Path.GetFullPath(options.Storage.Path));
        if (server.SmtpEndPoints.Count > 0)
        {
            var port = server.SmtpEndPoints[0].EndPoint.Port;
            LogTry(log, port);
        }
    }

    [LoggerMessage(LogLevel.Warning, "{Warning}")]
    private static partial void LogWarning(ILogger log, string warning);

    [LoggerMessage(LogLevel.Information, "Quorumail {Version} as {Hostname}, configuration file: {File}")]
    private static partial void LogVersion(ILogger log, string version, string hostname, string file);

    [LoggerMessage(LogLevel.Information, "SMTP on {EndPoint}, role {Role}, tls {Tls}")]
    private static partial void LogListener(ILogger log, IPEndPoint endPoint, string role, string tls);

    [LoggerMessage(LogLevel.Information, "HTTP on {EndPoint}: /healthz /readyz /metrics /api/queue, {Token}")]
    private static partial void LogHttp(ILogger log, IPEndPoint endPoint, string token);

    [LoggerMessage(LogLevel.Information, "data in {Path}; 250 means: message and envelope are fsynced on this one disk")]
    private static partial void LogData(ILogger log, string path);

    [LoggerMessage(LogLevel.Information, "try: curl smtp://127.0.0.1:{Port} --mail-from you@example.org --mail-rcpt postmaster@localhost -T README.md")]
    private static partial void LogTry(ILogger log, int port);
}
