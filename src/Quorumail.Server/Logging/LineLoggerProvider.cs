using Microsoft.Extensions.Logging;
using Quorumail.Server.Configuration;

namespace Quorumail.Server.Logging;

/// <summary>Gives every category a logger onto one writer. Disposing it writes out what waits.</summary>
internal sealed class LineLoggerProvider : ILoggerProvider
{
    private readonly LogWriter _writer;
    private readonly TimeProvider _clock;
    private readonly LogLevel _minimum;

    /// <param name="options">Format, level and buffer.</param>
    /// <param name="output">Owned by the caller; written to by one thread.</param>
    /// <param name="journal">Whether <paramref name="output"/> is the journal of systemd.</param>
    /// <param name="clock">Stamps the events.</param>
    public LineLoggerProvider(LoggingOptions options, Stream output, bool journal, TimeProvider clock)
    {
        ILogFormatter formatter = options.Format == LogFormat.Json
            ? new JsonLogFormatter()
            : new TextLogFormatter(withTime: !journal);
        _writer = new LogWriter(formatter, output, options.Buffer, journal, clock);
        _clock = clock;
        _minimum = (LogLevel)options.Level;
    }

    /// <summary>Events dropped so far because the output was too slow.</summary>
    public long Dropped => _writer.Dropped;

    public ILogger CreateLogger(string categoryName)
    {
        // The framework's own chatter about connections and requests is no event of ours, and why it could not start is
        // told by whoever started it.
        var minimum = _minimum == LogLevel.Debug || !categoryName.StartsWith("Microsoft.", StringComparison.Ordinal) ? _minimum
            : categoryName.StartsWith("Microsoft.Extensions.Hosting", StringComparison.Ordinal) ? LogLevel.Critical
            : (LogLevel)Math.Max((int)LogLevel.Warning, (int)_minimum);
        return new LineLogger(categoryName, minimum, _writer, _clock);
    }

    public void Dispose() => _writer.Dispose();
}
