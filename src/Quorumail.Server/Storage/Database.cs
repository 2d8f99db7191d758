using System.Text;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Journal;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>
/// The node's one RocksDB database, with everything but the replicated log in it: bodies, the queue, and what is known
/// about the disk itself; and the journal, which holds the log, and what has come lately of bodies. All other writes go
/// through one thread that commits in groups.
/// </summary>
public sealed partial class Database : IAsyncDisposable
{
    private static readonly byte[] DiskIdKey = "disk-id"u8.ToArray();

    /// <summary>For a writer that waits for the database to catch up: what is in three write buffers takes a slow disk seconds.</summary>
    private static readonly TimeSpan WriterPatience = TimeSpan.FromSeconds(20);

    /// <summary>For one that was let go: only a call into the system that does not come back takes longer.</summary>
    private static readonly TimeSpan StuckPatience = TimeSpan.FromSeconds(5);

    private readonly DataDirectory _directory;
    private readonly RocksStore _store;
    private readonly FreeSpaceGuard _freeSpace;
    private readonly TimeProvider _time;
    private readonly Lock _closing = new();
    private bool _isClosed;

    private Database(
        DataDirectory directory, RocksStore store, StorageHealth health, BodyJournal bodyJournal, DatabaseOptions options, TimeProvider time, ILogger logger)
    {
        _directory = directory;
        _store = store;
        _time = time;
        Health = health;
        BodyJournal = bodyJournal;
        Bodies = store.Family("bodies");
        Queue = store.Family("queue");
        Meta = store.Family("default");
        Commits = new GroupCommit(store, Health);
        Space = new BodySpace(store, Bodies, directory.Path, options, time, logger);
        _freeSpace = new FreeSpaceGuard(this, options, time, logger);
        _ = WatchHealthAsync();
    }

    /// <summary>Whether the disk takes mail, and whether it has failed.</summary>
    public StorageHealth Health { get; }

    /// <summary>The full path of the data directory, which this process holds.</summary>
    public string Path => _directory.Path;

    /// <summary>Made once for this disk; tells it from every other.</summary>
    public string DiskId => _directory.Stamp.DiskId;

    internal GroupCommit Commits { get; }

    internal BodyJournal BodyJournal { get; }

    /// <summary>Bodies that are on the disk in the log alone.</summary>
    internal CarriedBodies Carried { get; } = new();

    internal BodySpace Space { get; }

    /// <summary>Opened, with its local records recovered, and not begun.</summary>
    internal EntryJournal Journal => BodyJournal.Journal;

    internal RocksFamily Bodies { get; }

    internal RocksFamily Queue { get; }

    internal RocksFamily Meta { get; }

    internal RocksStore Store => _store;

    /// <summary>Locks the data directory, recovers the database, and starts its writer.</summary>
    /// <exception cref="StorageException">In use, not whole, damaged, or not usable; the message says which and what to do.</exception>
    public static Database Open(DatabaseOptions options, TimeProvider time, ILogger logger)
    {
        var directory = DataDirectory.Open(options.Path);
        RocksStore? store = null;
        try
        {
            var fresh = !directory.Stamp.Formed;
            if (!fresh && !File.Exists(System.IO.Path.Combine(directory.StorePath, "CURRENT")))
            {
                throw new StorageException(
                    $"The data directory {directory.Path} has lost its database ({directory.StorePath}). Restore the "
                    + "directory whole, or start with an empty one.");
            }

            store = OpenStore(directory, options, fresh);
            CheckOrWriteDiskId(store, directory, fresh);
            LogOpened(logger, directory.Path, directory.Stamp.DiskId, fresh);
            var health = new StorageHealth();
            return new Database(directory, store, health, OpenJournal(directory, store, health, options), options, time, logger);
        }
        catch (RocksException error)
        {
            store?.Dispose();
            directory.Dispose();
            throw new StorageException($"The database in {directory.StorePath} can't be used: {error.Message}. Check the disk.", error);
        }
        catch
        {
            store?.Dispose();
            directory.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes what was handed over and closes. Every reader must have finished. A writer that the disk does not let go of is left behind, with the
    /// database open under it: the process can end, and the next start recovers.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        // The guard goes on meanwhile: a full disk is what it finds out about, and then nobody waits any more.
        var writing = Commits.DisposeAsync().AsTask();
        var isWritten = await HasEndedAsync(writing, WriterPatience);
        if (!isWritten)
        {
            Health.Fail(new StorageException(
                $"The disk of {Path} is too slow, or has failed: the database did not take its last writes in time. The node stops without them; what was acknowledged before is kept."));
            LearnFromFailure();
            isWritten = await HasEndedAsync(writing, StuckPatience);
        }

        var isIdle = await HasEndedAsync(BodyJournal.DisposeAsync().AsTask(), WriterPatience);
        await _freeSpace.DisposeAsync();
        if (Health.Failure is not null)
        {
            LearnFromFailure();
        }

        if (!isWritten || !isIdle)
        {
            return;
        }

        Journal.Dispose();
        lock (_closing)
        {
            _isClosed = true;
            _store.Dispose();
        }

        _directory.Dispose();
    }

    /// <summary>Why nothing should be written below a path, there or not, as the same disk is nearly full; null if it may.</summary>
    internal string? ShortageAt(string path) => Health.Shortage is { } shortage && _freeSpace.IsShortAt(path) ? shortage : null;

    /// <summary>Errors of RocksDB's own background work since the start; any is a failed disk.</summary>
    internal long BackgroundErrors => _store.Property(Meta, "rocksdb.background-errors");

    private async Task WatchHealthAsync()
    {
        await Health.Failed;
        LearnFromFailure();
    }

    // Whoever waits for the database to catch up is let go: it won't.
    private void LearnFromFailure()
    {
        lock (_closing)
        {
            if (_isClosed)
            {
                return;
            }

            if (BackgroundErrors > 0)
            {
                Space.NoteFailure();
            }

            _store.Abandon();
        }
    }

    private async Task<bool> HasEndedAsync(Task work, TimeSpan patience)
    {
        try
        {
            await work.WaitAsync(patience, _time);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private static BodyJournal OpenJournal(DataDirectory directory, RocksStore store, StorageHealth health, DatabaseOptions options)
    {
        var bodies = new BodyJournal(store, store.Family("bodies"), health);
        var path = System.IO.Path.Combine(directory.Path, "log", "journal");
        try
        {
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
            bodies.Journal = EntryJournal.Open(path, options.JournalFileBytes, bodies);
            return bodies;
        }
        catch (JournalException error)
        {
            throw new StorageException(
                $"The log in {path} is damaged: {error.Message} The server does not start on it, because acknowledged mail "
                + "may be missing. Restore the data directory whole, or start with an empty one.",
                error);
        }
        catch (Exception error) when (error is RocksException or IOException or UnauthorizedAccessException)
        {
            throw new StorageException($"The log in {path} can't be opened: {error.Message}. Check the disk.", error);
        }
    }

    private static RocksStore OpenStore(DataDirectory directory, DatabaseOptions options, bool fresh)
    {
        try
        {
            try
            {
                return Open(isDirect: true);
            }
            catch (RocksException error) when (error.IsDirectUnsupported)
            {
                return Open(isDirect: false);
            }
        }
        catch (RocksException error) when (error.IsLocked)
        {
            throw new StorageException(
                $"The database in {directory.StorePath} is in use by another process. Stop that one first.", error);
        }
        catch (RocksException error) when (error.IsCorruption)
        {
            throw new StorageException(
                $"The database in {directory.StorePath} is damaged: {error.Message}. The server does not start on it, "
                + "because acknowledged mail may be missing. Restore the data directory whole, or start with an empty one.",
                error);
        }
        catch (RocksException error)
        {
            throw new StorageException(
                $"The database in {directory.StorePath} can't be opened: {error.Message}. Check the disk.", error);
        }

        RocksStore Open(bool isDirect)
        {
            if (fresh && !Directory.EnumerateFiles(directory.StorePath, "*.log").Any())
            {
                // What an attempt that failed, or was killed, has left of a database that has never been open.
                foreach (var file in Directory.EnumerateFiles(directory.StorePath))
                {
                    File.Delete(file);
                }
            }

            return RocksStore.Open(
                directory.StorePath,
                RocksSettings.ForDatabase(fresh, isDirect),
                [
                    ("default", RocksSettings.ForMeta()),
                    ("queue", RocksSettings.ForQueue(options)),
                    ("bodies", RocksSettings.ForBodies(options)),
                ]);
        }
    }

    private static void CheckOrWriteDiskId(RocksStore store, DataDirectory directory, bool fresh)
    {
        var found = store.Get(store.Family("default"), DiskIdKey) is { } bytes ? Encoding.ASCII.GetString(bytes) : null;
        if (found is null && fresh)
        {
            using var batch = new RocksBatch();
            batch.Put(store.Family("default"), DiskIdKey, Encoding.ASCII.GetBytes(directory.Stamp.DiskId));
            store.Write(batch, sync: true);
            found = directory.Stamp.DiskId;
        }

        if (found != directory.Stamp.DiskId)
        {
            throw new StorageException(
                $"The database in {directory.StorePath} belongs to another disk (it says {found ?? "nothing"}, stamp.json "
                + $"says {directory.Stamp.DiskId}): parts of two data directories were mixed. Restore one of them whole.");
        }

        if (fresh)
        {
            directory.MarkFormed();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "data directory {Path} opened, disk {DiskId}, new: {Fresh}")]
    private static partial void LogOpened(ILogger logger, string path, string diskId, bool fresh);
}
