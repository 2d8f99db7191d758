using System.Text.Json;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Quorumail.Server.CommandLine;

/// <summary>Shows the server's answers: as JSON, or in tables.</summary>
internal static class Report
{
    /// <summary>Columns of the terminal that the last column of a table gets at least; else nothing is broken.</summary>
    private const int LastColumnMin = 16;

    private const int Gap = 2;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>The answer as it came.</summary>
    public static void WriteJson(JsonElement answer) => Console.Out.WriteLine(JsonSerializer.Serialize(answer, Indented));

    /// <summary>A table without borders. Put what may be long and is only read into the last column: it is the only one that is broken into lines.</summary>
    public static Table NewTable(params string[] columns)
    {
        var table = new Table { Border = TableBorder.None };
        foreach (var column in columns)
        {
            table.AddColumn(new TableColumn(column).NoWrap().PadRight(Gap));
        }

        return table;
    }

    /// <summary>Adds a line.</summary>
    public static void AddRow(Table table, params string[] cells) =>
        table.AddRow(cells.Select(cell => new Text(Printable(cell))));

    /// <summary>Prints a table, if it has lines. A file or a pipe has no width.</summary>
    public static void Write(Table table) =>
        Write(table, Console.Out, Console.IsOutputRedirected ? int.MaxValue : AnsiConsole.Create(new AnsiConsoleSettings()).Profile.Width);

    /// <summary>
    /// Prints a table, if it has lines, and cuts nothing off, for an id is there to be copied. If the terminal is too narrow, the last column is
    /// broken into lines; if too little is left for that, each row is one long line, which the terminal breaks.
    /// </summary>
    public static void Write(Table table, TextWriter output, int terminalWidth)
    {
        if (table.Rows.Count == 0)
        {
            return;
        }

        using var text = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(text), Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors });
        var options = RenderOptions.Create(console, console.Profile.Capabilities);
        int[] widths = [.. table.Columns.Select((column, index) => Gap + Math.Max(
            WidthOf(column.Header, options), table.Rows.Max(row => WidthOf(row[index], options))))];
        var isBroken = widths.Sum() > terminalWidth && widths[..^1].Sum() + LastColumnMin <= terminalWidth;
        table.Columns[^1].NoWrap = !isBroken;

        // Borders that are not drawn are counted all the same.
        console.Profile.Width = (isBroken ? terminalWidth : widths.Sum()) + table.Columns.Count + 1;
        console.Write(table);
        foreach (var line in text.ToString().TrimEnd().Split('\n'))
        {
            output.WriteLine(line.TrimEnd());
        }
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

    private static int WidthOf(IRenderable cell, RenderOptions options) => cell.Measure(options, int.MaxValue).Max;
}
