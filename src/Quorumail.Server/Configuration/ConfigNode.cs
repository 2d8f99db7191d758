namespace Quorumail.Server.Configuration;

/// <summary>A value as it was written somewhere, before anyone knows what it should be.</summary>
/// <param name="Text">The scalar, without quotes; for a list, how it looks.</param>
/// <param name="Items">The items of a list, null for a scalar.</param>
/// <param name="IsString">Whether it stood in quotes, or came from where there are only strings.</param>
/// <param name="Source">Where: <c>config.toml:12</c>, <c>environment SMTP_PORT</c>, <c>--port</c>.</param>
internal sealed record ConfigNode(string Text, IReadOnlyList<ConfigNode>? Items, bool IsString, string Source)
{
    /// <summary>A value from the command line or the environment.</summary>
    public static ConfigNode FromText(string text, string source) => new(text, null, IsString: true, source);
}
