using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Logging;

/// <summary>The logger of one category. It never blocks: an event is queued for the writer, or dropped and counted.</summary>
internal sealed class LineLogger(string category, LogLevel minimum, LogWriter writer, TimeProvider clock) : ILogger
{
    private readonly bool _isMail = string.Equals(category, MailLog.Category, StringComparison.Ordinal);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= minimum && logLevel != LogLevel.None;

    public void Log<TState>(
        LogLevel logLevel,
        EventId eventId,
        TState state,
        Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel))
        {
            return;
        }

        var now = clock.GetUtcNow();
        if (_isMail && state is IReadOnlyList<KeyValuePair<string, object?>> fields)
        {
            // Boxing the fields is all that the caller pays for; the writer renders them.
            writer.Enqueue(new LogEntry(now, logLevel, category, eventId.Name ?? "event", null, fields, exception));
            return;
        }

        writer.Enqueue(new LogEntry(now, logLevel, category, null, formatter(state, exception), null, exception));
    }
}
