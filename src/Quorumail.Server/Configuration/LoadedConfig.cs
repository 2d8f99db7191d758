namespace Quorumail.Server.Configuration;

/// <summary>What came out of file, environment and command line.</summary>
/// <param name="Options">To be used only if <paramref name="Problems"/> is empty.</param>
/// <param name="Problems">Everything that is wrong.</param>
/// <param name="Warnings">What is odd but harmless, a line each.</param>
/// <param name="Values">Every effective value with its source, for <c>config check</c>.</param>
/// <param name="File">The file that was read, or null.</param>
public sealed record LoadedConfig(
    QuorumailOptions Options,
    IReadOnlyList<ConfigProblem> Problems,
    IReadOnlyList<string> Warnings,
    IReadOnlyList<EffectiveValue> Values,
    string? File);

/// <summary>One effective value.</summary>
/// <param name="Table">The table, with its number for an array of tables: <c>routes[1]</c>.</param>
/// <param name="Key">The key.</param>
/// <param name="Value">As it would be written in the file; secrets masked.</param>
/// <param name="Source">Where it came from.</param>
public sealed record EffectiveValue(string Table, string Key, string Value, string Source);
