namespace Quorumail.Server.Configuration;

/// <summary>One thing wrong with the configuration.</summary>
/// <param name="Source">Where it stands: <c>config.toml:12</c>, <c>environment SMTP_PORT</c>, <c>--port</c>, <c>default</c>.</param>
/// <param name="Key"><c>table.key</c>.</param>
/// <param name="Value">As written; null where there is none; never a secret.</param>
/// <param name="Fault">What is wrong, as the rest of a sentence about the key.</param>
/// <param name="Remedy">What to write instead.</param>
public sealed record ConfigProblem(string Source, string Key, string? Value, string Fault, string Remedy)
{
    /// <summary>One line for the operator.</summary>
    public override string ToString()
    {
        var value = Value is null ? "" : $" = {Shown(Value)}";
        return $"{Source}: {Key}{value}: {Fault}. {Remedy}";
    }

    private static string Shown(string value)
    {
        var clipped = value.Length > 80 ? value[..80] + "…" : value;
        return string.Concat(clipped.Select(c => char.IsControl(c) ? '?' : c));
    }
}
