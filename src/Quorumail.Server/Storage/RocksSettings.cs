using System.Globalization;

namespace Quorumail.Server.Storage;

/// <summary>How the database is tuned, in RocksDB's own option names. Measured by bench/Quorumail.StorageBench.</summary>
internal static class RocksSettings
{
    /// <summary>Options of the database as a whole.</summary>
    /// <param name="create">Whether a missing database is made; otherwise it is an error.</param>
    /// <param name="isDirect">Whether tables and blob files are written past the page cache.</param>
    public static string ForDatabase(bool create, bool isDirect) => string.Join(';',
        "create_if_missing=" + (create ? "true" : "false"),
        "create_missing_column_families=" + (create ? "true" : "false"),

        // What comes back after a crash is what was written up to some moment, and nothing after it: of two logs that were not synced,
        // a power cut may take the end of the first and leave the second, and the index that says how far the queue is must not come without
        // what it stands for. The journal applies what is missing again; if that is more than it still has, it says so and the node does not
        // start (ReplicatedStates). What was synced is checked against the manifest.
        "wal_recovery_mode=kPointInTimeRecovery",
        "track_and_verify_wals=true",
        "track_and_verify_wals_in_manifest=true",
        "paranoid_checks=true",

        // One thread writes, so that RocksDB need not coordinate writers.
        "allow_concurrent_memtable_write=false",
        "enable_pipelined_write=false",
        "enable_write_thread_adaptive_yield=false",

        // Bounds what is replayed at start, and the disk that small families would otherwise pin.
        "max_total_wal_size=268435456",
        // Most of what is written there is read once, if ever; copying it into pages that the system first has to find took
        // a third of the CPU time of a 50 KB message that stays (docs/decisions/bodies-on-disk.md).
        "use_direct_io_for_flush_and_compaction=" + (isDirect ? "true" : "false"),
        "max_background_jobs=2",

        // What is in memory alone, the journal has; and where the disk is full, a flush would be waited for.
        "avoid_flush_during_shutdown=true",
        "bytes_per_sync=1048576",
        "max_open_files=256",
        "keep_log_file_num=4",
        "max_log_file_size=4194304",
        "stats_dump_period_sec=0",
        "stats_persist_period_sec=0");

    /// <summary>
    /// Bodies: written once, read once, deleted. Values go to blob files, so that compaction moves keys alone; a blob
    /// file goes when its last body is gone, or when <see cref="BodySpace"/> lets compaction copy the rest.
    /// </summary>
    public static string ForBodies(DatabaseOptions options) => string.Join(';',
        "write_buffer_size=" + Text(options.BodyBufferBytes),
        "max_write_buffer_number=3",
        "compression=kNoCompression",
        "enable_blob_files=true",
        "min_blob_size=512",
        "blob_file_size=" + Text(options.BodyFileBytes),
        "enable_blob_garbage_collection=false",
        "blob_garbage_collection_age_cutoff=1.0",
        "blob_garbage_collection_force_threshold=0.25",
        "blob_compression_type=kNoCompression",
        Table(options.CacheBytes / 2));

    /// <summary>The queue: records of a few hundred bytes, changed a few times, then deleted.</summary>
    public static string ForQueue(DatabaseOptions options) => string.Join(';',
        "write_buffer_size=8388608",
        "max_write_buffer_number=3",
        "compression=kLZ4Compression",
        Table(options.CacheBytes / 2));

    /// <summary>What is known about the disk: a few keys.</summary>
    public static string ForMeta() => "write_buffer_size=1048576;" + Table(1 << 20);

    /// <summary>The history of messages: a database that no mail depends on, so one that is cut short, or lies, is begun anew.</summary>
    public static string ForHistoryDatabase() => string.Join(';',
        "create_if_missing=true",
        "wal_recovery_mode=kPointInTimeRecovery",
        "max_background_jobs=2",
        "bytes_per_sync=1048576",
        "max_open_files=-1", // The way in which old files go asks for it; there are some 70 of them.
        "keep_log_file_num=2",
        "max_log_file_size=1048576",
        "stats_dump_period_sec=0",
        "stats_persist_period_sec=0");

    /// <summary>Events: written once, hardly ever read. The oldest file goes when all are larger than they may be, or when it is too old.</summary>
    /// <param name="sizeMax">Octets of all files.</param>
    /// <param name="keep">Age of a file at which it goes.</param>
    public static string ForHistory(long sizeMax, TimeSpan keep) => string.Join(';',
        "write_buffer_size=" + Text(Math.Clamp(sizeMax / 16, 1 << 20, 16 << 20)),
        "max_write_buffer_number=2",
        "compression=kLZ4Compression",
        "compaction_style=kCompactionStyleFIFO",
        "compaction_options_fifo={max_table_files_size=" + Text(sizeMax) + ";allow_compaction=false}",
        "ttl=" + Text((long)keep.TotalSeconds),
        Table(1 << 20));

    private static string Table(long cacheBytes) =>
        "block_based_table_factory={block_cache=" + Text(cacheBytes)
        + ";filter_policy=bloomfilter:10:false;cache_index_and_filter_blocks=true;format_version=6}";

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
