using System.Collections;
using System.CommandLine;
using Quorumail.Server.Configuration;

namespace Quorumail.Server.CommandLine;

/// <summary>The options that stand for configuration keys, and reading the configuration with them.</summary>
internal sealed class CommonOptions
{
    private static readonly (string Option, string Key, string Hint, string Description)[] Twins =
    [
        ("--port", "server.port", "PORT", "SMTP port (default 2525)"),
        ("--host", "server.host", "ADDRESS", "SMTP address (default 0.0.0.0)"),
        ("--hostname", "server.hostname", "NAME", "our name in mail (default: the machine's)"),
        ("--data", "storage.path", "FOLDER", "data directory (default ./data)"),
        ("--http-port", "http.port", "PORT", "HTTP port for health, metrics and administration (default 8080)"),
    ];

    private readonly Option<string?> _config = new("--config")
    {
        Description = "configuration file (default ./config.toml if it is there)",
        HelpName = "FILE",
        Recursive = true,
    };

    // Not for the commands below: it says what the server does, not where it is.
    private readonly Option<bool> _bootstrap = new("--bootstrap")
    {
        Description = "found a cluster without the listed nodes that can't be reached: on one node, once",
    };

    private readonly List<(Option<string?> Option, string Key)> _twins = [];

    /// <summary>Adds the options to the root, for it and all below it.</summary>
    public CommonOptions(RootCommand root)
    {
        root.Options.Add(_config);
        root.Options.Add(_bootstrap);
        foreach (var (name, key, hint, description) in Twins)
        {
            var option = new Option<string?>(name) { Description = description, HelpName = hint, Recursive = true };
            _twins.Add((option, key));
            root.Options.Add(option);
        }
    }

    /// <summary>Reads the configuration.</summary>
    public LoadedConfig Load(ParseResult parsed)
    {
        var environment = Environment.GetEnvironmentVariables()
            .Cast<DictionaryEntry>()
            .Select(entry => KeyValuePair.Create((string)entry.Key, entry.Value as string ?? ""));
        var given = new List<(string, string, string)>();
        foreach (var (option, key) in _twins)
        {
            if (parsed.GetValue(option) is { } value)
            {
                given.Add((key, option.Name, value));
            }
        }

        if (parsed.GetValue(_bootstrap))
        {
            given.Add(("cluster.bootstrap", _bootstrap.Name, "true"));
        }

        return ConfigLoader.Load(parsed.GetValue(_config), environment, given);
    }

    /// <summary>Prints what is wrong, everything at once. True if nothing is.</summary>
    public static bool Report(LoadedConfig loaded, TextWriter error)
    {
        foreach (var warning in loaded.Warnings)
        {
            error.WriteLine($"warning: {warning}");
        }

        if (loaded.Problems.Count == 0)
        {
            return true;
        }

        foreach (var problem in loaded.Problems)
        {
            error.WriteLine($"error: {problem}");
        }

        error.WriteLine(loaded.Problems.Count == 1
            ? "smtp-server: the configuration has an error; nothing was started"
            : $"smtp-server: the configuration has {loaded.Problems.Count} errors; nothing was started");
        return false;
    }
}
