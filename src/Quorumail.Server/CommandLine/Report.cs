using System.Text.Json;
using Spectre.Console;

namespace Quorumail.Server.CommandLine;

/// <summary>Shows the server's answers: as JSON, or in tables.</summary>
internal static class Report
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>The answer as it came.</summary>
    public static void WriteJson(JsonElement answer) => Console.Out.WriteLine(JsonSerializer.Serialize(answer, Indented));

    /// <summary>A table without borders.</summary>
    public static Table NewTable(params string[] columns)
    {
        var table = new Table { Border = TableBorder.None };
        foreach (var column in columns)
        {
            table.AddColumn(new TableColumn(column).NoWrap().PadRight(2));
        }

        return table;
    }

    /// <summary>Adds a line.</summary>
    public static void AddRow(Table table, params string[] cells) =>
        table.AddRow(cells.Select(cell => new Text(Printable(cell))));

    /// <summary>Prints a table, if it has lines.</summary>
    public static void Write(Table table)
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

    /// <summary>A field as text; empty if it is null or not there.</summary>
    public static string Text(JsonElement element, string name) =>
        !element.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null ? ""
        : value.ValueKind == JsonValueKind.String ? value.GetString()!
        : value.GetRawText();

    /// <summary>A field that is a time.</summary>
    public static string Time(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetDateTimeOffset().ToString("yyyy-MM-dd HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture)
            : "";

    /// <summary>Without what would steer the operator's terminal: others sent us this.</summary>
    public static string Printable(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));
}
