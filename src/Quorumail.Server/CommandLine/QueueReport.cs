using System.Text.Json;
using Spectre.Console;

namespace Quorumail.Server.CommandLine;

/// <summary>Shows the server's answers about the queue as tables.</summary>
internal static class QueueReport
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>The answer as it came.</summary>
    public static void WriteJson(JsonElement answer) => Console.Out.WriteLine(JsonSerializer.Serialize(answer, Indented));

    /// <summary>A line a recipient.</summary>
    public static void WriteMessages(JsonElement answer)
    {
        var table = NewTable("id", "since", "from", "to", "state", "tries", "next", "last reply");
        foreach (var message in answer.GetProperty("messages").EnumerateArray())
        {
            foreach (var recipient in message.GetProperty("recipients").EnumerateArray())
            {
                AddRow(
                    table,
                    Text(message, "id"),
                    Time(message, "created_at"),
                    $"<{Text(message, "from")}>",
                    $"<{Text(recipient, "to")}>",
                    Text(recipient, "status"),
                    Text(recipient, "attempts"),
                    Time(recipient, "next_retry_at"),
                    Text(recipient, "last_error"));
            }
        }

        Console.Out.WriteLine(
            $"{Text(answer, "total")} messages: {Text(answer, "pending")} pending, {Text(answer, "processing")} in delivery, {Text(answer, "retry")} waiting to be tried again");
        Write(table);
    }

    /// <summary>A line a suspect.</summary>
    public static void WriteSuspects(JsonElement answer)
    {
        var suspects = answer.GetProperty("suspects");
        if (suspects.GetArrayLength() == 0)
        {
            Console.Out.WriteLine("No delivery is in doubt.");
            return;
        }

        var table = NewTable("id", "recipient", "attempt", "reason", "listed", "detail");
        foreach (var suspect in suspects.EnumerateArray())
        {
            AddRow(
                table,
                Text(suspect, "id"),
                Text(suspect, "recipient"),
                Text(suspect, "attempt"),
                Text(suspect, "reason"),
                Time(suspect, "listed_at"),
                Text(suspect, "detail"));
        }

        Write(table);
    }

    private static Table NewTable(params string[] columns)
    {
        var table = new Table { Border = TableBorder.None };
        foreach (var column in columns)
        {
            table.AddColumn(new TableColumn(column).NoWrap().PadRight(2));
        }

        return table;
    }

    private static void AddRow(Table table, params string[] cells) =>
        table.AddRow(cells.Select(cell => new Text(Printable(cell))));

    private static void Write(Table table)
    {
        if (table.Rows.Count == 0)
        {
            return;
        }

        var console = AnsiConsole.Create(new AnsiConsoleSettings());
        if (Console.IsOutputRedirected)
        {
            // A file or a pipe has no width: nothing is cut off.
            console.Profile.Width = 10_000;
        }

        console.Write(table);
    }

    private static string Text(JsonElement element, string name) =>
        !element.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null ? ""
        : value.ValueKind == JsonValueKind.String ? value.GetString()!
        : value.GetRawText();

    private static string Time(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetDateTimeOffset().ToString("yyyy-MM-dd HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture)
            : "";

    // What others sent us must not steer the operator's terminal.
    private static string Printable(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));
}
