using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Journal;
using Quorumail.Server.CommandLine;
using Quorumail.Server.Configuration;
using Quorumail.Server.Logging;

namespace Quorumail.Server.Hosting;

/// <summary>The life of the process: start, wait for a signal or a failed disk, stop in order.</summary>
internal static partial class ServerProcess
{
    /// <summary>Runs the server until it is told to stop, and returns the exit code.</summary>
    public static async Task<int> RunAsync(LoadedConfig loaded, CancellationToken token)
    {
        var clock = TimeProvider.System;
        var options = loaded.Options;
        await using var output = Console.OpenStandardOutput();
        using var provider = new LineLoggerProvider(
            options.Logging,
            output,
            Journal.IsStandardOutput(Environment.GetEnvironmentVariable("JOURNAL_STREAM")),
            clock);
        using var logs = LoggerFactory.Create(builder => builder.SetMinimumLevel(LogLevel.Trace).AddProvider(provider));
        var log = logs.CreateLogger("server");
        using var signals = new StopSignals(log);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(signals.Token, token);

        await using var server = new MailServer(options, logs, clock);
        try
        {
            await server.StartAsync(stop.Token);
        }
        catch (StartException exception)
        {
            await Console.Error.WriteLineAsync($"smtp-server: {exception.Message}");
            return ExitCode.CannotStart;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return ExitCode.Success;
        }

        Banner.Write(log, loaded, server);
        var failure = await WaitAsync(server.Failed, stop.Token);
        if (failure?.GetBaseException() is JournalException damage)
        {
            LogDamaged(log, damage.Message, options.Storage.Path);
        }
        else if (failure is not null)
        {
            LogFailed(log, options.Storage.Path, failure);
        }

        await server.StopAsync();
        LogStopped(log);
        return failure is null ? ExitCode.Success : ExitCode.DiskFailed;
    }

    private static async Task<Exception?> WaitAsync(Task<Exception> failed, CancellationToken stop)
    {
        try
        {
            return await failed.WaitAsync(stop);
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    [LoggerMessage(
        LogLevel.Critical,
        "the disk of {Path} failed or is full; the server stops, because it can no longer promise to keep mail. Mend it or make room, and start again: what was acknowledged before is recovered")]
    private static partial void LogFailed(ILogger log, string path, Exception exception);

    [LoggerMessage(
        LogLevel.Critical,
        "{Damage} The server stops rather than go on without it. In a cluster with a majority, empty {Path} and start again: the others give this node everything anew. Where this is the last disk, keep a copy of it first")]
    private static partial void LogDamaged(ILogger log, string damage, string path);

    [LoggerMessage(LogLevel.Information, "stopped")]
    private static partial void LogStopped(ILogger log);
}
