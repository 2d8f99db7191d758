using System.Runtime.CompilerServices;
using Quorumail.Server.Configuration;

namespace Quorumail.Server.Tests.Configuration;

/// <summary>docs/configuration.md is what an operator believes: it names every key, and none that doesn't exist.</summary>
public sealed class ConfigurationPageTests
{
    [Fact]
    public void The_page_has_every_key_with_its_environment_twin_and_its_default_and_no_other()
    {
        var values = ConfigLoader.LoadText("").Values.ToDictionary(value => (value.Table, value.Key), value => value.Value);
        var expected = ConfigSchema.Tables
            .SelectMany(table => table.Keys)
            .Select(key => (
                Table: $"[{key.Table.Name}]",
                Key: key.Name,
                key.Environment,
                Default: key is { Table.Name: "server", Name: "hostname" } ? "the machine's name" : $"`{values[(key.Table.Name, key.Name)]}`"));

        Assert.Equal(expected, Rows().Where(row => !row.Table.StartsWith("[[", StringComparison.Ordinal))
            .Select(row => (row.Table, row.Cells[0], row.Cells[1], row.Cells[2])));
    }

    [Fact]
    public void The_page_has_every_key_of_the_arrays_of_tables_and_no_other()
    {
        var expected = ConfigSchema.Arrays.SelectMany(table => table.Keys).Select(key => ($"[[{key.Table.Name}]]", key.Name));

        Assert.Equal(
            expected.Order(),
            Rows().Where(row => row.Table.StartsWith("[[", StringComparison.Ordinal)).Select(row => (row.Table, row.Cells[0])).Order());
    }

    [Fact]
    public void The_page_says_something_about_each_key()
    {
        Assert.All(Rows(), row => Assert.True(row.Cells[^1].Length > 10, row.Cells[0]));
    }

    private static List<(string Table, string[] Cells)> Rows()
    {
        var rows = new List<(string, string[])>();
        var table = "";
        foreach (var line in File.ReadLines(PathOf("configuration.md")))
        {
            if (line.StartsWith("## `[", StringComparison.Ordinal))
            {
                table = line[4..].Trim('`');
            }
            else if (line.StartsWith("| `", StringComparison.Ordinal))
            {
                var cells = line.Trim('|', ' ').Split(" | ");
                cells[0] = cells[0].Trim('`');
                cells[1] = cells[1].StartsWith("`SMTP_", StringComparison.Ordinal) ? cells[1].Trim('`') : cells[1];
                rows.Add((table, cells));
            }
        }

        return rows;
    }

    /// <summary>Where a page of docs/ is.</summary>
    internal static string PathOf(string name, [CallerFilePath] string here = "")
    {
        // Paths of sources are mapped in builds for release: look upwards from the program then.
        var start = File.Exists(here) ? Path.GetDirectoryName(here) : AppContext.BaseDirectory;
        for (var folder = new DirectoryInfo(start!); folder is not null; folder = folder.Parent)
        {
            var page = Path.Combine(folder.FullName, "docs", name);
            if (File.Exists(page))
            {
                return page;
            }
        }

        throw new FileNotFoundException($"docs/{name} is not above the tests");
    }
}
