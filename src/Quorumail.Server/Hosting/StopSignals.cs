using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Quorumail.Server.CommandLine;

namespace Quorumail.Server.Hosting;

/// <summary>SIGTERM and SIGINT: the first asks the server to stop in order, the second ends the process at once.</summary>
internal sealed partial class StopSignals : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _registrations;
    private readonly ILogger _log;
    private int _count;

    public StopSignals(ILogger log)
    {
        _log = log;
        _registrations =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal),
            PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal),
        ];
    }

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _stop.Token;

    public void Dispose()
    {
        foreach (var registration in _registrations)
        {
            registration.Dispose();
        }

        _stop.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        var count = Interlocked.Increment(ref _count);
        if (count == 1)
        {
            LogStopping(_log, context.Signal);
            _stop.Cancel();
        }
        else
        {
            // What is acknowledged is on disk: a sudden end loses nothing.
            Environment.Exit(ExitCode.Interrupted);
        }
    }

    [LoggerMessage(LogLevel.Information, "{Signal}: stopping; what is in flight is finished first (again: stop at once)")]
    private static partial void LogStopping(ILogger log, PosixSignal signal);
}
