namespace Quorumail.Server.Storage;

/// <summary>How the store uses disk and memory.</summary>
public sealed record DatabaseOptions
{
    /// <summary>The data directory; made if missing. One running node only.</summary>
    public required string Path { get; init; }

    /// <summary>
    /// Free bytes below which no mail is accepted (452 4.3.1) while delivery goes on. Default 512 MiB: room for the
    /// log's next chunk, for compaction, and for what is being received when the floor is reached.
    /// </summary>
    public long FreeSpaceFloor { get; init; } = 512L << 20;

    /// <summary>How often free space is looked at. Default 1 s: at 160 MB/s no more than 160 MB pass the floor.</summary>
    public TimeSpan FreeSpaceInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Bytes of one write buffer of the bodies, of which at most three exist. Default 32 MiB: a body that is delivered
    /// before its buffer is full is never written to a table.
    /// </summary>
    public long BodyBufferBytes { get; init; } = 32L << 20;

    /// <summary>Bytes of one file of bodies at most; a file goes when its last body is gone. Default 64 MiB.</summary>
    public long BodyFileBytes { get; init; } = 64L << 20;

    /// <summary>Bytes of dead bodies that blob files may hold whatever their part is. Default 256 MiB.</summary>
    public long DeadBodiesMin { get; init; } = 256L << 20;

    /// <summary>Bytes of one file of the journal, which holds the log and what has come lately. Default 16 MiB.</summary>
    public int JournalFileBytes { get; init; } = 16 << 20;

    /// <summary>Bytes of cache for table blocks (keys and small values; bodies are not cached). Default 16 MiB.</summary>
    public long CacheBytes { get; init; } = 16L << 20;
}
