using System.Net;
using DotNext.Net.Cluster;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Transport;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// What the engine says, but what it says of the same member again and again only once in a while: of a member that is sent a
/// snapshot, or can't be reached, it speaks with every attempt. Errors are never left out. That the disk has kept it from taking
/// a role, after which it takes none any more, the engine tells by its log alone: <paramref name="failed"/> is told of it.
/// </summary>
internal sealed class EngineLog(ILogger log, TimeProvider time, Action<Exception>? failed = null) : ILogger
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private readonly RareLog _rarely = new(time, Interval);

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => log.BeginScope(state);

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => logLevel == LogLevel.Critical || log.IsEnabled(logLevel);

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (logLevel == LogLevel.Critical && exception is IOException and not MemberUnavailableException)
        {
            failed?.Invoke(exception);
        }

        if (log.IsEnabled(logLevel) && (logLevel >= LogLevel.Error || _rarely.IsDue(TopicOf(eventId), SubjectOf(state))))
        {
            log.Log(logLevel, eventId, state, exception, formatter);
        }
    }

    private static string TopicOf(EventId eventId) => eventId.Name ?? FormattableString.Invariant($"{eventId.Id}");

    private static string SubjectOf<TState>(TState state)
    {
        if (state is IReadOnlyList<KeyValuePair<string, object?>> values)
        {
            foreach ((_, object? value) in values)
            {
                if (value is EndPoint member)
                {
                    return member.ToString() ?? string.Empty;
                }
            }
        }

        return string.Empty;
    }
}
