namespace Quorumail.Server.Storage.Rocks;

/// <summary>An open column family: a key space of its own within the one write-ahead log.</summary>
internal sealed record RocksFamily(string Name, nint Handle);
