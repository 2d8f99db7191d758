namespace Quorumail.Core.Limits;

/// <summary>What a node may still use of a limit by an earlier definition, which gave it more without asking than the present one does.</summary>
/// <param name="Limit">Of which limit.</param>
/// <param name="Node">Which node.</param>
/// <param name="Reserve">What stays reserved for it.</param>
/// <param name="Number">By which the node says that it goes by the present definition (<see cref="AdoptShareCommand"/>).</param>
/// <param name="Until">Reserved so long, in milliseconds of cluster time; <see cref="long.MaxValue"/>: until the node has said so.</param>
public sealed record LimitShare(string Limit, string Node, int Reserve, long Number, long Until);
