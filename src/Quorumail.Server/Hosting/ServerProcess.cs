using Microsoft.Extensions.Logging;
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
        if (failure is not null)
        {
            LogFailed(log, failure);
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

    [LoggerMessage(LogLevel.Critical, "the disk failed; the server stops, because it can no longer promise to keep mail. Mend the disk and start again: what was acknowledged before is recovered")]
    private static partial void LogFailed(ILogger log, Exception exception);

    [LoggerMessage(LogLevel.Information, "stopped")]
    private static partial void LogStopped(ILogger log);
}
