using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Tests.Logging;

/// <summary>Keeps what is logged: level, category and text.</summary>
internal sealed class KeptLogs : ILoggerFactory
{
    private readonly ConcurrentQueue<string> _lines = new();

    /// <summary>All lines so far, each <c>Level category: text</c>.</summary>
    public string[] Lines => [.. _lines];

    public ILogger CreateLogger(string categoryName) => new KeptLog(categoryName, _lines);

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public void Dispose()
    {
    }

    private sealed class KeptLog(string category, ConcurrentQueue<string> lines) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            lines.Enqueue($"{logLevel} {category}: {formatter(state, exception)}");
    }
}
