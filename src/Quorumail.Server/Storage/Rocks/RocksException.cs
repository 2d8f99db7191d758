namespace Quorumail.Server.Storage.Rocks;

/// <summary>What RocksDB reported, in its own words, such as "IO error: No space left on device: …".</summary>
internal sealed class RocksException(string message) : Exception(message)
{
    /// <summary>Stored data does not have the checksum it should have, or a file is missing or cut.</summary>
    public bool IsCorruption => Message.StartsWith("Corruption", StringComparison.Ordinal);

    /// <summary>The write would have had to wait until the database has caught up.</summary>
    public bool IsStall => Message.Contains("Write stall", StringComparison.Ordinal);

    /// <summary>The file system can't be written to past the page cache.</summary>
    public bool IsDirectUnsupported => Message.Contains("irect I/O is not supported", StringComparison.Ordinal);

    /// <summary>Another process, or this one, has the database open.</summary>
    public bool IsLocked => Message.Contains("lock ", StringComparison.Ordinal)
        && Message.StartsWith("IO error", StringComparison.Ordinal);
}
