using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Logging;

/// <summary>A log event on its way to the writer: what costs time to render is rendered there.</summary>
/// <param name="Time">When it was logged.</param>
/// <param name="Level">How serious it is.</param>
/// <param name="Category">Of the logger.</param>
/// <param name="EventName">Name of a mail event, null for any other.</param>
/// <param name="Message">The rendered message; null for a mail event.</param>
/// <param name="Fields">Fields of a mail event, immutable; null for any other.</param>
/// <param name="Exception">What was thrown, or null.</param>
internal readonly record struct LogEntry(
    DateTimeOffset Time,
    LogLevel Level,
    string Category,
    string? EventName,
    string? Message,
    IReadOnlyList<KeyValuePair<string, object?>>? Fields,
    Exception? Exception);
