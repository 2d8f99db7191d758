using Quorumail.Core.Queue;

namespace Quorumail.Server.Storage;

/// <summary>Proof that a body is kept.</summary>
/// <param name="Size">Octets.</param>
/// <param name="Hash">XxHash128 of all octets: 16 bytes.</param>
/// <param name="Holders">The disks that have it, this node's first; null where there is this disk alone.</param>
public readonly record struct BodyReceipt(long Size, ReadOnlyMemory<byte> Hash, IReadOnlyList<BodyHolder>? Holders = null);
