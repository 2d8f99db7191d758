using System.Globalization;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>Takes what is logged, each event as "name key=value …" without the values that are null, for tests to wait for.</summary>
internal sealed class MailLines : ILogger
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        // The last field is the template.
        var fields = state as IReadOnlyList<KeyValuePair<string, object?>> ?? [];
        var words = fields.SkipLast(1).Where(field => field.Value is not null)
            .Select(field => string.Create(CultureInfo.InvariantCulture, $"{field.Key}={field.Value}"));
        _lines.Writer.TryWrite(string.Join(' ', words.Prepend(eventId.Name ?? "event")));
    }

    /// <summary>The next line of an event; others are skipped.</summary>
    public async Task<string> NextAsync(string name)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(Patience);
        while (true)
        {
            var line = await _lines.Reader.ReadAsync(patience.Token);
            if (line.StartsWith(name + " ", StringComparison.Ordinal))
            {
                return line;
            }
        }
    }

    /// <summary>What has been logged and not been asked for.</summary>
    public List<string> TakeAll()
    {
        var lines = new List<string>();
        while (_lines.Reader.TryRead(out var line))
        {
            lines.Add(line);
        }

        return lines;
    }
}
