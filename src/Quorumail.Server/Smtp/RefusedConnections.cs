using System.Net;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Smtp;
using Quorumail.Server.Logging;

namespace Quorumail.Server.Smtp;

/// <summary>
/// Logs connections that are refused as a whole, so that a flood of them doesn't fill the log: in a minute one line an
/// address, of <see cref="LinesMax"/> addresses at most, and one more that counts the rest.
/// </summary>
internal sealed partial class RefusedConnections : IDisposable
{
    /// <summary>Lines in a window (ours).</summary>
    internal const int LinesMax = 100;

    private static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private readonly HashSet<IPAddress> _logged = [];
    private readonly ILogger _mailLog;
    private readonly ILogger _log;
    private readonly ITimer _windowEnd;
    private long _unlogged;
    private bool _isOpen;

    /// <param name="mailLog">Takes the mail events.</param>
    /// <param name="log">Takes the counts.</param>
    /// <param name="time">Ends windows.</param>
    public RefusedConnections(ILogger mailLog, ILogger log, TimeProvider time)
    {
        _mailLog = mailLog;
        _log = log;
        _windowEnd = time.CreateTimer(static state => ((RefusedConnections)state!).EndWindow(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Logs or counts a refusal.</summary>
    public void Add(IPAddress client, SmtpReply reply)
    {
        lock (_gate)
        {
            if (!_isOpen)
            {
                _isOpen = true;
                _windowEnd.Change(Window, Timeout.InfiniteTimeSpan);
            }

            if (_logged.Count >= LinesMax || !_logged.Add(client))
            {
                _unlogged++;
                return;
            }
        }

        MailLog.Rejected(_mailLog, null, null, null, client.ToString(), null, null, reply.ToString());
    }

    /// <summary>Tells what is still counted.</summary>
    public void Dispose()
    {
        _windowEnd.Dispose();
        EndWindow();
    }

    private void EndWindow()
    {
        long unlogged;
        lock (_gate)
        {
            _isOpen = false;
            _logged.Clear();
            unlogged = _unlogged;
            _unlogged = 0;
        }

        if (unlogged > 0)
        {
            LogMore(_log, unlogged);
        }
    }

    [LoggerMessage(23, LogLevel.Warning, "{count} more connections were refused within a minute: each address has one line")]
    private static partial void LogMore(ILogger log, long count);
}
