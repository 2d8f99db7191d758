using System.Buffers;
using System.Globalization;
using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Logging;

/// <summary>Lines for people: time, level, then a mail event's name and fields, or a category and a sentence.</summary>
/// <param name="withTime">False where the reader stamps lines itself.</param>
internal sealed class TextLogFormatter(bool withTime) : ILogFormatter
{
    private const string TimeFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";

    public void Write(in LogEntry entry, IBufferWriter<byte> output)
    {
        if (withTime)
        {
            var span = output.GetSpan(32);
            entry.Time.UtcDateTime.TryFormat(span, out var length, TimeFormat, CultureInfo.InvariantCulture);
            output.Advance(length);
            output.Write(" "u8);
            LogText.WriteAscii(LogText.Name(entry.Level), output);
            output.Write(" "u8);
        }

        if (entry.Fields is { } fields)
        {
            LogText.WriteAscii(entry.EventName, output);
            WriteFields(fields, output);
        }
        else
        {
            LogText.WriteMessage(ShortName(entry.Category), output);
            output.Write(": "u8);
            LogText.WriteMessage(entry.Message, output);
        }

        if (entry.Exception is { } exception)
        {
            WriteException(exception, entry.Level, output);
        }

        output.Write("\n"u8);
    }

    private static void WriteFields(IReadOnlyList<KeyValuePair<string, object?>> fields, IBufferWriter<byte> output)
    {
        Span<char> buffer = stackalloc char[64];

        // The last one is the template of the message.
        for (var i = 0; i < fields.Count - 1; i++)
        {
            var (key, value) = fields[i];
            if (value is null)
            {
                continue;
            }

            output.Write(" "u8);
            LogText.WriteAscii(key, output);
            output.Write("="u8);
            switch (value)
            {
                case string path when key is "from" or "to":
                    LogText.WriteValue($"<{path}>", output);
                    break;
                case string text:
                    LogText.WriteValue(text, output);
                    break;
                case TimeSpan time:
                    time.TotalSeconds.TryFormat(buffer, out var length, "0.000", CultureInfo.InvariantCulture);
                    LogText.WriteAscii(buffer[..length], output);
                    break;
                case ISpanFormattable number when number.TryFormat(buffer, out var digits, default, CultureInfo.InvariantCulture):
                    LogText.WriteValue(buffer[..digits], output);
                    break;
                default:
                    LogText.WriteValue(value.ToString(), output);
                    break;
            }
        }
    }

    private static void WriteException(Exception exception, LogLevel level, IBufferWriter<byte> output)
    {
        output.Write(" error="u8);

        // The trace is for faults of the program; what the world did wrong is told by the message.
        LogText.WriteValue(
            level >= LogLevel.Error ? exception.ToString() : $"{exception.GetType().Name}: {exception.Message}",
            output);
    }

    private static ReadOnlySpan<char> ShortName(string category) => category.AsSpan(category.LastIndexOf('.') + 1);
}
