namespace Quorumail.Core.Limits;

/// <summary>A token that was taken; the default is one of no limit.</summary>
/// <param name="Limit">Of which limit.</param>
/// <param name="Key">For which key.</param>
/// <param name="Until">The end of its window, in milliseconds of cluster time; 0: it is of no limit.</param>
/// <param name="IsOwn">It is of the node's own share.</param>
public readonly record struct LimitToken(string Limit, string Key, long Until, bool IsOwn);
