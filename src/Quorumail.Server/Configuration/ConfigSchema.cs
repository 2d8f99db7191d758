using System.Reflection;
using System.Text;

namespace Quorumail.Server.Configuration;

/// <summary>
/// Every table and key there is, read off the options records: they are the one place where a key is declared.
/// </summary>
internal static class ConfigSchema
{
    /// <summary>The tables that appear once.</summary>
    public static IReadOnlyList<ConfigTable> Tables { get; } =
    [
        .. typeof(QuorumailOptions).GetProperties()
            .Where(property => property.CanWrite && property.PropertyType.Name.EndsWith("Options", StringComparison.Ordinal))
            .Select(property => new ConfigTable(SnakeCase(property.Name), property.PropertyType, property)),
    ];

    /// <summary>The arrays of tables.</summary>
    public static IReadOnlyList<ConfigTable> Arrays { get; } =
    [
        .. typeof(QuorumailOptions).GetProperties()
            .Where(property => property.CanWrite && ItemType(property)?.Name.EndsWith("Options", StringComparison.Ordinal) == true)
            .Select(property => new ConfigTable(SnakeCase(property.Name), ItemType(property)!, property)),
    ];

    /// <summary>The table whose keys are free.</summary>
    public const string AliasesTable = "aliases";

    /// <summary>Names of all tables.</summary>
    public static IEnumerable<string> TableNames =>
        [.. Tables.Select(table => table.Name), .. Arrays.Select(table => table.Name), AliasesTable];

    /// <summary>The key behind an environment variable, if there is one.</summary>
    public static IReadOnlyDictionary<string, ConfigKey> Environment { get; } =
        Tables.SelectMany(table => table.Keys).ToDictionary(key => key.Environment, StringComparer.Ordinal);

    /// <summary>MaxMessageSize becomes max_message_size.</summary>
    public static string SnakeCase(string name)
    {
        var text = new StringBuilder(name.Length + 4);
        foreach (var c in name)
        {
            if (char.IsUpper(c) && text.Length > 0)
            {
                text.Append('_');
            }

            text.Append(char.ToLowerInvariant(c));
        }

        return text.ToString();
    }

    private static Type? ItemType(PropertyInfo property) =>
        property.PropertyType.IsGenericType && property.PropertyType.GetGenericTypeDefinition() == typeof(IReadOnlyList<>)
            ? property.PropertyType.GetGenericArguments()[0]
            : null;
}

/// <summary>A table of the configuration.</summary>
internal sealed class ConfigTable
{
    public ConfigTable(string name, Type type, PropertyInfo property)
    {
        Name = name;
        Type = type;
        Property = property;
        Keys = [.. type.GetProperties().Where(key => key.CanWrite).Select(key => new ConfigKey(this, key))];
    }

    /// <summary>As in the file.</summary>
    public string Name { get; }

    /// <summary>The options record.</summary>
    public Type Type { get; }

    /// <summary>Where the record, or the list of them, is kept.</summary>
    public PropertyInfo Property { get; }

    /// <summary>In the order of their declaration.</summary>
    public IReadOnlyList<ConfigKey> Keys { get; }
}

/// <summary>A key of a table.</summary>
internal sealed class ConfigKey
{
    public ConfigKey(ConfigTable table, PropertyInfo property)
    {
        Table = table;
        Property = property;
        Rules = property.GetCustomAttribute<ConfigKeyAttribute>() ?? new ConfigKeyAttribute();
        Name = Rules.Name ?? ConfigSchema.SnakeCase(property.Name);
        Environment = Rules.Environment ?? $"SMTP_{table.Name}_{Name}".ToUpperInvariant();
    }

    public ConfigTable Table { get; }

    public PropertyInfo Property { get; }

    public ConfigKeyAttribute Rules { get; }

    /// <summary>As in the file.</summary>
    public string Name { get; }

    /// <summary>The environment twin; meaningless in an array of tables.</summary>
    public string Environment { get; }
}
