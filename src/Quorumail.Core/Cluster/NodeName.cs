using System.Buffers;

namespace Quorumail.Core.Cluster;

/// <summary>
/// What a node may call itself. A name stands in URLs, metrics labels and log lines as it is, so it has nothing that
/// would have to be escaped there; a Kubernetes pod's name and a host name fit.
/// </summary>
public static class NodeName
{
    /// <summary>Characters at most.</summary>
    public const int LengthMax = 255;

    private static readonly SearchValues<char> Allowed =
        SearchValues.Create("-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");

    /// <summary>1 to <see cref="LengthMax"/> letters, digits, dots, hyphens and underscores.</summary>
    public static bool IsValid(ReadOnlySpan<char> name) => name.Length is > 0 and <= LengthMax && !name.ContainsAnyExcept(Allowed);
}
