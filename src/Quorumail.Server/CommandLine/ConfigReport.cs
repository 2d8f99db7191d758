using Quorumail.Server.Configuration;

namespace Quorumail.Server.CommandLine;

/// <summary>Prints the effective configuration in the form of a file, each value with its source. Secrets are masked.</summary>
internal static class ConfigReport
{
    /// <summary>Prints it.</summary>
    public static void Write(LoadedConfig loaded, TextWriter output)
    {
        output.WriteLine(loaded.File is null ? "# no configuration file" : $"# file: {loaded.File}");
        var width = loaded.Values.Select(value => Line(value).Length).Where(length => length <= 60).DefaultIfEmpty(0).Max();
        var table = "";
        foreach (var value in loaded.Values)
        {
            if (!string.Equals(value.Table, table, StringComparison.Ordinal))
            {
                table = value.Table;
                output.WriteLine();
                output.WriteLine(Header(table));
            }

            output.WriteLine($"{Line(value).PadRight(width)}  # {value.Source}");
        }
    }

    private static string Line(EffectiveValue value) => $"{value.Key} = {value.Value}";

    private static string Header(string table)
    {
        var bracket = table.IndexOf('[', StringComparison.Ordinal);
        return bracket < 0 ? $"[{table}]" : $"[[{table[..bracket]}]]";
    }
}
