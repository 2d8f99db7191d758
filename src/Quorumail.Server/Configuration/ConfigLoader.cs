using System.Collections;
using System.Globalization;

namespace Quorumail.Server.Configuration;

/// <summary>
/// Reads the configuration: command line over environment over file over defaults. Nothing is used before everything
/// has been checked, and everything that is wrong is told at once.
/// </summary>
public sealed class ConfigLoader
{
    /// <summary>The file that is read, if it is there, when none is named.</summary>
    public const string DefaultFile = "config.toml";

    private const string Prefix = "SMTP_";

    private readonly List<ConfigProblem> _problems = [];
    private readonly List<string> _warnings = [];
    private readonly List<EffectiveValue> _values = [];
    private readonly Dictionary<string, string> _sources = new(StringComparer.Ordinal);

    private ConfigLoader()
    {
    }

    /// <summary>Reads file, environment and command line.</summary>
    /// <param name="file">The file named with --config, or null for <see cref="DefaultFile"/> if it is there.</param>
    /// <param name="environment">The process's environment.</param>
    /// <param name="commandLine"><c>table.key</c>, option name and value of each option given.</param>
    public static LoadedConfig Load(
        string? file,
        IEnumerable<KeyValuePair<string, string>> environment,
        IReadOnlyList<(string Key, string Option, string Value)> commandLine)
    {
        var loader = new ConfigLoader();
        var path = file ?? (File.Exists(DefaultFile) ? DefaultFile : null);
        var text = path is null ? "" : loader.ReadFile(path);
        var options = loader.Bind(ConfigFile.Parse(text, path ?? DefaultFile), environment, commandLine);
        return loader.Finish(options, path);
    }

    /// <summary>The same of a text: for tests.</summary>
    internal static LoadedConfig LoadText(
        string toml,
        IEnumerable<KeyValuePair<string, string>>? environment = null,
        IReadOnlyList<(string Key, string Option, string Value)>? commandLine = null)
    {
        var loader = new ConfigLoader();
        var options = loader.Bind(ConfigFile.Parse(toml, DefaultFile), environment ?? [], commandLine ?? []);
        return loader.Finish(options, DefaultFile);
    }

    private LoadedConfig Finish(QuorumailOptions options, string? path)
    {
        // What depends on several values is judged only when each is what it should be.
        if (_problems.Count == 0)
        {
            _problems.AddRange(new ConfigValidator(options, _sources, _warnings).Validate());
        }

        return new LoadedConfig(options, _problems, _warnings, _values, path);
    }

    private string ReadFile(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _problems.Add(new ConfigProblem("--config", "file", path, $"can't be read: {exception.Message.TrimEnd('.')}", "Name a file that is there and readable."));
            return "";
        }
    }

    private QuorumailOptions Bind(
        ConfigFile file,
        IEnumerable<KeyValuePair<string, string>> environment,
        IReadOnlyList<(string Key, string Option, string Value)> commandLine)
    {
        _problems.AddRange(file.Problems);
        var nodes = new Dictionary<(string Table, string Key), ConfigNode>(file.Values);
        ReadEnvironment(environment, nodes);
        foreach (var (key, option, value) in commandLine)
        {
            var dot = key.IndexOf('.', StringComparison.Ordinal);
            nodes[(key[..dot], key[(dot + 1)..])] = ConfigNode.FromText(value, option);
        }

        var options = new QuorumailOptions();
        foreach (var table in ConfigSchema.Tables)
        {
            var record = Activator.CreateInstance(table.Type)!;
            foreach (var key in table.Keys)
            {
                BindKey(record, key, table.Name, nodes.GetValueOrDefault((table.Name, key.Name)));
            }

            table.Property.SetValue(options, record);
        }

        foreach (var table in ConfigSchema.Arrays)
        {
            BindArray(options, table, file);
        }

        return options with { Aliases = BindAliases(file) };
    }

    private void ReadEnvironment(
        IEnumerable<KeyValuePair<string, string>> environment,
        Dictionary<(string Table, string Key), ConfigNode> nodes)
    {
        var unknown = new List<string>();
        foreach (var (name, value) in environment.Where(pair => pair.Key.StartsWith(Prefix, StringComparison.Ordinal)).OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (value.StartsWith("tcp://", StringComparison.Ordinal))
            {
                _warnings.Add($"environment {name} = {value} is ignored: it looks like a service link of Kubernetes");
            }
            else if (ConfigSchema.Environment.TryGetValue(name, out var key))
            {
                nodes[(key.Table.Name, key.Name)] = ConfigNode.FromText(value, $"environment {name}");
            }
            else
            {
                var nearest = NearestName.Of(name, ConfigSchema.Environment.Keys);
                unknown.Add(nearest is null ? name : $"{name} (did you mean {nearest}?)");
            }
        }

        if (unknown.Count > 0)
        {
            _warnings.Add($"unknown environment variables are ignored: {string.Join(", ", unknown)}");
        }
    }

    private void BindArray(QuorumailOptions options, ConfigTable table, ConfigFile file)
    {
        var records = (IList)Activator.CreateInstance(typeof(List<>).MakeGenericType(table.Type))!;
        foreach (var (_, source, values) in file.ArrayTables.Where(t => string.Equals(t.Table, table.Name, StringComparison.Ordinal)))
        {
            var record = Activator.CreateInstance(table.Type)!;
            var name = string.Create(CultureInfo.InvariantCulture, $"{table.Name}[{records.Count + 1}]");
            _sources[name] = source;
            foreach (var key in table.Keys)
            {
                var node = values.GetValueOrDefault(key.Name);
                if (node is null && key.Rules.IsRequired && !HasDefault(record, key))
                {
                    _problems.Add(new ConfigProblem(source, $"{name}.{key.Name}", null, "is missing", $"Add a line {key.Name} = …"));
                    continue;
                }

                BindKey(record, key, name, node);
            }

            records.Add(record);
        }

        table.Property.SetValue(options, records);
    }

    private static bool HasDefault(object record, ConfigKey key) => key.Property.GetValue(record) is not ("" or 0);

    private void BindKey(object record, ConfigKey key, string table, ConfigNode? node)
    {
        // What may be left unsaid is left unsaid by an empty variable, too.
        if (node is { Text: "", Items: null } && Nullable.GetUnderlyingType(key.Property.PropertyType) is not null)
        {
            node = null;
        }

        var source = node?.Source ?? "default";
        if (node is not null)
        {
            var value = ItemType(key.Property.PropertyType) is { } item
                ? ReadList(key, table, item, node)
                : ReadScalar(key, table, key.Property.PropertyType, node);
            if (value is null)
            {
                return;
            }

            if (key.Rules.IsRequired && value is ("" or ICollection { Count: 0 }))
            {
                _problems.Add(new ConfigProblem(source, $"{table}.{key.Name}", "\"\"", "must not be empty", "Give a value or leave the line out."));
                return;
            }

            key.Property.SetValue(record, value);
        }

        _sources[$"{table}.{key.Name}"] = source;
        _values.Add(new EffectiveValue(table, key.Name, ConfigValueText.Write(key.Property.GetValue(record), key.Rules), source));
    }

    private object? ReadScalar(ConfigKey key, string table, Type type, ConfigNode node)
    {
        if (ConfigValueText.TryRead(node, type, key.Rules, out var value, out var expected))
        {
            return value;
        }

        var shown = key.Rules.IsSecret ? "********" : node.IsString ? $"\"{node.Text}\"" : node.Text;
        _problems.Add(new ConfigProblem(node.Source, $"{table}.{key.Name}", shown, "is not valid", $"It must be {expected}."));
        return null;
    }

    private object? ReadList(ConfigKey key, string table, Type item, ConfigNode node)
    {
        // One text is a list by comma: environment variables have nothing else.
        var nodes = node.Items
            ?? [.. node.Text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
                .Select(text => node with { Text = text })];
        var list = (IList)Activator.CreateInstance(typeof(List<>).MakeGenericType(item))!;
        var good = true;
        foreach (var entry in nodes)
        {
            if (ReadScalar(key, table, item, entry) is { } value)
            {
                list.Add(value);
            }
            else
            {
                good = false;
            }
        }

        return good ? list : null;
    }

    private Dictionary<string, IReadOnlyList<string>> BindAliases(ConfigFile file)
    {
        var aliases = new Dictionary<string, IReadOnlyList<string>>(StringComparer.OrdinalIgnoreCase);
        foreach (var (alias, node) in file.Aliases)
        {
            var targets = new List<string>();
            foreach (var target in node.Items ?? [node])
            {
                if (target.IsString && target.Items is null && target.Text.Trim().Length > 0)
                {
                    targets.Add(target.Text.Trim());
                }
                else
                {
                    _problems.Add(new ConfigProblem(target.Source, $"aliases.{alias}", target.Text, "is not valid", "It must be an address or a mailbox in quotes, or a list of them."));
                }
            }

            if (!aliases.TryAdd(alias, targets))
            {
                _problems.Add(new ConfigProblem(node.Source, $"aliases.{alias}", null, "appears twice", "Upper and lower case are the same: make it one list."));
                continue;
            }

            _sources[$"aliases.{alias}"] = node.Source;
            _values.Add(new EffectiveValue(ConfigSchema.AliasesTable, $"\"{alias}\"", ConfigValueText.Write(targets, new ConfigKeyAttribute()), node.Source));
        }

        return aliases;
    }

    private static Type? ItemType(Type type) =>
        type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyList<>) ? type.GetGenericArguments()[0] : null;
}
