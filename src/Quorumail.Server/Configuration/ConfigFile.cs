using System.Globalization;
using Tomlyn.Parsing;
using Tomlyn.Syntax;

namespace Quorumail.Server.Configuration;

/// <summary>The tables of a TOML file with the line of every value.</summary>
internal sealed class ConfigFile
{
    /// <summary>More than any configuration: nobody's disk image is read as one.</summary>
    private const int MaxCharacters = 4 << 20;

    private readonly string _name;
    private readonly List<ConfigProblem> _problems = [];

    private ConfigFile(string name) => _name = name;

    /// <summary>Values of the tables that appear once.</summary>
    public Dictionary<(string Table, string Key), ConfigNode> Values { get; } = [];

    /// <summary>Tables of the arrays of tables, in order.</summary>
    public List<(string Table, string Source, Dictionary<string, ConfigNode> Values)> ArrayTables { get; } = [];

    /// <summary>The entries of <c>[aliases]</c>.</summary>
    public List<(string Alias, ConfigNode Targets)> Aliases { get; } = [];

    /// <summary>What is wrong with the file as TOML, and names that don't exist.</summary>
    public IReadOnlyList<ConfigProblem> Problems => _problems;

    /// <summary>Reads a file's text.</summary>
    /// <param name="text">TOML 1.0.</param>
    /// <param name="name">How messages call the file.</param>
    public static ConfigFile Parse(string text, string name)
    {
        var file = new ConfigFile(name);
        if (text.Length > MaxCharacters)
        {
            file._problems.Add(new ConfigProblem(name, "file", null, "is larger than 4 MB", "Name a configuration file."));
            return file;
        }

        var document = SyntaxParser.Parse(text, name, validate: true);
        if (document.HasErrors)
        {
            file._problems.AddRange(document.Diagnostics
                .Where(message => message.Kind == DiagnosticMessageKind.Error)
                .Select(message => new ConfigProblem(
                    file.At(message.Span),
                    "TOML",
                    null,
                    message.Message.TrimEnd('.'),
                    "Correct the syntax (https://toml.io).")));
            return file;
        }

        file.Read(document);
        return file;
    }

    private void Read(DocumentSyntax document)
    {
        foreach (var pair in document.KeyValues)
        {
            var path = Path(pair.Key);
            if (path.Count == 1)
            {
                var table = ConfigSchema.Tables.FirstOrDefault(t => t.Keys.Any(k => string.Equals(k.Name, path[0], StringComparison.Ordinal)));
                Report(pair.Span, path[0], "stands before any table", table is null
                    ? $"Put it below its [table]: {string.Join(", ", ConfigSchema.TableNames)}."
                    : $"Put it below [{table.Name}].");
                continue;
            }

            ReadValue(path, pair);
        }

        foreach (var table in document.Tables)
        {
            var path = Path(table.Name!);
            if (table is TableArraySyntax)
            {
                ReadArrayTable(path, table);
                continue;
            }

            if (!ConfigSchema.TableNames.Contains(path[0], StringComparer.Ordinal))
            {
                ReportUnknownTable(path[0], table.Span);
                continue;
            }

            foreach (var pair in table.Items)
            {
                ReadValue([.. path, .. Path(pair.Key)], pair);
            }
        }
    }

    private void ReadArrayTable(List<string> path, TableSyntaxBase table)
    {
        var schema = ConfigSchema.Arrays.FirstOrDefault(t => path.Count == 1 && string.Equals(t.Name, path[0], StringComparison.Ordinal));
        if (schema is null)
        {
            if (ConfigSchema.Tables.Any(t => string.Equals(t.Name, path[0], StringComparison.Ordinal)))
            {
                Report(table.Span, $"[[{string.Join('.', path)}]]", "appears only once", $"Write [{path[0]}].");
            }
            else
            {
                ReportUnknownTable(string.Join('.', path), table.Span);
            }

            return;
        }

        var values = new Dictionary<string, ConfigNode>(StringComparer.Ordinal);
        foreach (var pair in table.Items)
        {
            var key = string.Join('.', Path(pair.Key));
            if (schema.Keys.Any(k => string.Equals(k.Name, key, StringComparison.Ordinal)))
            {
                values[key] = Node(pair.Value!);
            }
            else
            {
                ReportUnknownKey(schema, key, pair.Span);
            }
        }

        ArrayTables.Add((schema.Name, At(table.Span), values));
    }

    private void ReadValue(List<string> path, KeyValueSyntax pair)
    {
        if (path is [ConfigSchema.AliasesTable, _, ..])
        {
            Aliases.Add((string.Join('.', path.Skip(1)), Node(pair.Value!)));
            return;
        }

        var table = ConfigSchema.Tables.FirstOrDefault(t => string.Equals(t.Name, path[0], StringComparison.Ordinal));
        if (table is null)
        {
            if (ConfigSchema.Arrays.Any(t => string.Equals(t.Name, path[0], StringComparison.Ordinal)))
            {
                Report(pair.Span, path[0], "is an array of tables", $"Write [[{path[0]}]].");
            }
            else
            {
                ReportUnknownTable(path[0], pair.Span);
            }

            return;
        }

        var key = string.Join('.', path.Skip(1));
        if (table.Keys.Any(k => string.Equals(k.Name, key, StringComparison.Ordinal)))
        {
            Values[(table.Name, key)] = Node(pair.Value!);
        }
        else
        {
            ReportUnknownKey(table, key, pair.Span);
        }
    }

    private void ReportUnknownTable(string name, SourceSpan span)
    {
        var nearest = NearestName.Of(name, ConfigSchema.TableNames);
        Report(span, $"[{name}]", "is no table that there is", nearest is null
            ? $"Tables: {string.Join(", ", ConfigSchema.TableNames)}."
            : $"Did you mean {nearest}?");
    }

    private void ReportUnknownKey(ConfigTable table, string key, SourceSpan span)
    {
        var nearest = NearestName.Of(key, table.Keys.Select(k => k.Name));
        var elsewhere = ConfigSchema.Tables.Concat(ConfigSchema.Arrays)
            .FirstOrDefault(t => t.Keys.Any(k => string.Equals(k.Name, key, StringComparison.Ordinal)));
        Report(span, $"{table.Name}.{key}", "is no key that there is", nearest, elsewhere, table);
    }

    private void Report(SourceSpan span, string key, string fault, string? nearest, ConfigTable? elsewhere, ConfigTable table) =>
        Report(span, key, fault, nearest is not null
            ? $"Did you mean {nearest}?"
            : elsewhere is not null
                ? $"It belongs below [{elsewhere.Name}]."
                : $"Keys of [{table.Name}]: {string.Join(", ", table.Keys.Select(k => k.Name))}.");

    private void Report(SourceSpan span, string key, string fault, string remedy) =>
        _problems.Add(new ConfigProblem(At(span), key, null, fault, remedy));

    private string At(SourceSpan span) => string.Create(CultureInfo.InvariantCulture, $"{_name}:{span.Start.Line + 1}");

    private ConfigNode Node(ValueSyntax value)
    {
        var source = At(value.Span);
        switch (value)
        {
            case StringValueSyntax text:
                return new ConfigNode(text.Value ?? "", null, IsString: true, source);
            case IntegerValueSyntax number:
                return new ConfigNode(number.Value.ToString(CultureInfo.InvariantCulture), null, IsString: false, source);
            case BooleanValueSyntax truth:
                return new ConfigNode(truth.Value ? "true" : "false", null, IsString: false, source);
            case ArraySyntax array:
                var items = new List<ConfigNode>();
                foreach (var item in array.Items)
                {
                    items.Add(Node(item.Value!));
                }

                return new ConfigNode($"[{string.Join(", ", items.Select(item => item.Text))}]", items, IsString: false, source);
            default:
                return new ConfigNode(value.ToString()!.Trim(), null, IsString: false, source);
        }
    }

    private static List<string> Path(KeySyntax? key)
    {
        var path = new List<string> { Name(key!.Key) };
        foreach (var dotted in key.DotKeys)
        {
            path.Add(Name(dotted.Key));
        }

        return path;
    }

    private static string Name(BareKeyOrStringValueSyntax? key) => key switch
    {
        StringValueSyntax text => text.Value ?? "",
        BareKeySyntax bare => bare.Key?.Text ?? "",
        _ => key?.ToString() ?? "",
    };
}
