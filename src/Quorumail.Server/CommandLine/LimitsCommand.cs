using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using static Quorumail.Server.CommandLine.Report;

namespace Quorumail.Server.CommandLine;

/// <summary><c>smtp-server limits</c>: asks the running server about the limits that all nodes share.</summary>
internal sealed class LimitsCommand(CommonOptions common)
{
    /// <summary>The command.</summary>
    public Command Create()
    {
        var json = new Option<bool>("--json") { Description = "print the answer as JSON" };
        var command = new Command("limits", "Show the limits that all nodes share, and how much of them is used.") { json };
        command.SetAction(async (parsed, token) =>
        {
            var loaded = common.Load(parsed);
            return CommonOptions.Report(loaded, Console.Error)
                ? await new AdministrationClient(loaded.Options.Http).AskAsync("/api/limits", parsed.GetValue(json) ? WriteJson : WriteTable, token)
                : ExitCode.BadConfiguration;
        });
        return command;
    }

    private static void WriteTable(JsonElement answer)
    {
        var table = NewTable("limit", "for each key", "policy", "keys", "granted", "fullest key", "granted", "window ends", "refused here");
        foreach (var limit in answer.GetProperty("limits").EnumerateArray())
        {
            var fullest = limit.GetProperty("fullest");
            var isAny = fullest.ValueKind == JsonValueKind.Object;
            AddRow(
                table,
                Text(limit, "name"),
                Allowed(limit),
                Text(limit, "policy"),
                Text(limit, "keys"),
                Text(limit, "granted"),
                isAny ? Text(fullest, "key") : "",
                isAny ? Text(fullest, "granted") : "",
                Time(limit, "window_ends_at"),
                Text(limit, "refused"));
        }

        if (table.Rows.Count == 0)
        {
            Console.Out.WriteLine("There are no limits that all nodes share: [limits] in the configuration makes them.");
        }

        Write(table);
    }

    private static string Allowed(JsonElement limit)
    {
        var reserved = Text(limit, "reserved") is "0" ? "" : $", {Text(limit, "reserved")} of them reserved for nodes";
        return Text(limit, "kind") is "rate"
            ? $"{Text(limit, "capacity")} in {Period(limit.GetProperty("period_seconds").GetDouble())}{reserved}"
            : $"{Text(limit, "capacity")} at once{reserved}";
    }

    private static string Period(double seconds) =>
        seconds % 86_400 == 0 ? string.Create(CultureInfo.InvariantCulture, $"{seconds / 86_400}d")
        : seconds % 3_600 == 0 ? string.Create(CultureInfo.InvariantCulture, $"{seconds / 3_600}h")
        : seconds % 60 == 0 ? string.Create(CultureInfo.InvariantCulture, $"{seconds / 60}m")
        : string.Create(CultureInfo.InvariantCulture, $"{seconds}s");
}
