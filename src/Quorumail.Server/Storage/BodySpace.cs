using System.Globalization;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Disk;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>
/// Decides when the bodies that live on in old blob files are copied, so that the files can go. A file goes by itself with its last
/// body, which is the usual way: mail does not stay. If bodies were copied whenever keys are merged, those of a long queue would be moved again and
/// again; so they are only while half of what the files hold is dead, until it is a quarter. Old files go after the copying, so it must find
/// room: on a disk with little, the bodies of a part of the files, the oldest, are copied at a time, or none.
/// </summary>
/// <remarks>
/// Copying that fails (no space after all, or a damaged body, which it has to read) stops the database, and would stop it again after each start.
/// So it is off for a week then, in later lives too: longer than mail stays, by default.
/// </remarks>
internal sealed partial class BodySpace
{
    /// <summary>How long there is no copying after it has failed.</summary>
    internal static readonly TimeSpan Pause = TimeSpan.FromDays(7);

    /// <summary>The smallest part of the files that copying is begun for.</summary>
    private const double PartMin = 1.0 / 64;

    private readonly RocksStore _store;
    private readonly RocksFamily _bodies;
    private readonly DatabaseOptions _options;
    private readonly string _failedPath;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private DateTimeOffset _pausedUntil;
    private double _part;
    private bool _hasCopied;

    /// <param name="store">The database.</param>
    /// <param name="bodies">Whose blob files they are.</param>
    /// <param name="directory">The data directory, in which a failure is remembered: an empty file, as its time is all there is to know.</param>
    /// <param name="options">How much may be dead, and what room is left alone.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Told when there is no copying.</param>
    public BodySpace(RocksStore store, RocksFamily bodies, string directory, DatabaseOptions options, TimeProvider time, ILogger logger)
    {
        _store = store;
        _bodies = bodies;
        _options = options;
        _time = time;
        _logger = logger;
        _failedPath = Path.Combine(directory, "copying-failed");
        if (File.Exists(_failedPath))
        {
            // A clock that has been set back does not make it longer.
            var failed = new DateTimeOffset(File.GetLastWriteTimeUtc(_failedPath), TimeSpan.Zero);
            var now = _time.GetUtcNow();
            SetPause(failed < now ? failed : now);
        }
    }

    /// <summary>Whether bodies are copied now.</summary>
    public bool IsCopying => _part > 0;

    /// <summary>Looks at how much is dead. Cheap; to be called now and then, not twice at a time.</summary>
    /// <param name="free">Free bytes of the disk.</param>
    public void Look(long free)
    {
        var dead = _store.Property(_bodies, "rocksdb.live-blob-file-garbage-size");
        var all = _store.Property(_bodies, "rocksdb.live-blob-file-size");
        var isDue = dead >= _options.DeadBodiesMin && dead > all / (IsCopying ? 4 : 2) && _time.GetUtcNow() >= _pausedUntil;

        // Half, for mail comes meanwhile.
        var part = isDue ? PartFor((free - _options.FreeSpaceFloor) / 2, all - dead) : 0;
        if (part == _part)
        {
            return;
        }

        try
        {
            _hasCopied |= part > 0;
            if (part > 0)
            {
                File.Delete(_failedPath);
                _store.SetOptions(
                    _bodies,
                    ("blob_garbage_collection_age_cutoff", part.ToString(CultureInfo.InvariantCulture)),
                    ("enable_blob_garbage_collection", "true"));
            }
            else
            {
                _store.SetOptions(_bodies, ("enable_blob_garbage_collection", "false"));
            }

            _part = part;
        }
        catch (Exception failure) when (failure is RocksException or IOException or UnauthorizedAccessException)
        {
            // A disk that has failed says so elsewhere, and otherwise it is tried again.
        }
    }

    /// <summary>The database's own work has failed. If it may have been the copying, there is none for a while, in the next life either.</summary>
    public void NoteFailure()
    {
        var now = _time.GetUtcNow();
        if (!_hasCopied || now < _pausedUntil)
        {
            return;
        }

        try
        {
            File.Create(_failedPath).Dispose();
            File.SetLastWriteTimeUtc(_failedPath, now.UtcDateTime);
            Fsync.Directory(Path.GetDirectoryName(_failedPath)!);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // Where there is no room even for that, the next life finds none for copying.
        }

        SetPause(now);
    }

    // One compaction copies no more than all that lives, and no more than the files hold of which it copies.
    private double PartFor(long room, long live)
    {
        var files = _store.Property(_bodies, "rocksdb.num-blob-files");
        for (var part = 1.0; part >= PartMin; part /= 2)
        {
            var chosen = (long)(part * files);
            if (Math.Min(live, chosen * _options.BodyFileBytes) <= room)
            {
                return chosen > 0 ? part : 0;
            }
        }

        return 0;
    }

    private void SetPause(DateTimeOffset failed)
    {
        _pausedUntil = failed + Pause;
        LogPaused(_logger, failed, _pausedUntil, Path.Combine(Path.GetDirectoryName(_failedPath)!, "store", "LOG"), _failedPath);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "bodies could not be copied out of old files at {Failed:u} (details in {Details}); that is off until "
        + "{Until:u}, and files with dead bodies go with their last body only; to have it on sooner, delete {File} while the server is stopped")]
    private static partial void LogPaused(ILogger logger, DateTimeOffset failed, DateTimeOffset until, string details, string file);
}
