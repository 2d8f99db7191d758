using Quorumail.Core.Queue;

namespace Quorumail.Server.Storage;

/// <summary>Proof that a body is kept, or will be with its Enqueue.</summary>
/// <param name="Size">Octets.</param>
/// <param name="Hash">XxHash128 of all octets: 16 bytes.</param>
/// <param name="Holders">The disks that have it, this node's first; null where there is this disk alone, or where the log tells.</param>
/// <param name="Carried">The record of the body, if it is not kept yet and the log is to carry it.</param>
public readonly record struct BodyReceipt(
    long Size, ReadOnlyMemory<byte> Hash, IReadOnlyList<BodyHolder>? Holders = null, ReadOnlyMemory<byte> Carried = default);
