namespace Quorumail.Server.Storage;

/// <summary>Proof that a body is on the disk.</summary>
/// <param name="Size">Octets.</param>
/// <param name="Hash">XxHash128 of all octets: 16 bytes.</param>
public readonly record struct BodyReceipt(long Size, ReadOnlyMemory<byte> Hash);
