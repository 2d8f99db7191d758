using System.Buffers;
using System.Text.Json;

namespace Quorumail.Server.Logging;

/// <summary>One JSON object a line, in ASCII: everything else is escaped. Durations are seconds.</summary>
internal sealed class JsonLogFormatter : ILogFormatter
{
    public void Write(in LogEntry entry, IBufferWriter<byte> output)
    {
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteString("time", entry.Time.UtcDateTime);
            json.WriteString("level", LogText.Name(entry.Level));
            if (entry.Fields is { } fields)
            {
                json.WriteString("event", entry.EventName);
                WriteFields(fields, json);
            }
            else
            {
                json.WriteString("category", entry.Category);
                json.WriteString("message", entry.Message);
            }

            if (entry.Exception is { } exception)
            {
                json.WriteString("error", exception.ToString());
            }

            json.WriteEndObject();
        }

        output.Write("\n"u8);
    }

    private static void WriteFields(IReadOnlyList<KeyValuePair<string, object?>> fields, Utf8JsonWriter json)
    {
        // The last one is the template of the message.
        for (var i = 0; i < fields.Count - 1; i++)
        {
            var (key, value) = fields[i];
            switch (value)
            {
                case null:
                    break;
                case int number:
                    json.WriteNumber(key, number);
                    break;
                case long number:
                    json.WriteNumber(key, number);
                    break;
                case TimeSpan time:
                    json.WriteNumber(key, Math.Round(time.TotalSeconds, 6));
                    break;
                default:
                    json.WriteString(key, value.ToString());
                    break;
            }
        }
    }
}
