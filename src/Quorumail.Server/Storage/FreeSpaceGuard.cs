using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Storage;

/// <summary>
/// Looks at the free space of the data directory and at RocksDB's background errors, at start and then once an interval,
/// and sets the health accordingly. A shortage ends by itself when there is space again.
/// </summary>
internal sealed partial class FreeSpaceGuard : IAsyncDisposable
{
    private readonly Database _database;
    private readonly DatabaseOptions _options;
    private readonly ILogger _logger;
    private readonly DriveInfo _drive;
    private readonly ITimer _timer;
    private readonly Lock _looking = new();
    private bool _short;

    public FreeSpaceGuard(Database database, DatabaseOptions options, TimeProvider time, ILogger logger)
    {
        _database = database;
        _options = options;
        _logger = logger;
        _drive = new DriveInfo(database.Path);
        Look();
        _timer = time.CreateTimer(
            static guard => ((FreeSpaceGuard)guard!).Look(), this, options.FreeSpaceInterval, options.FreeSpaceInterval);
    }

    /// <summary>
    /// Whether free space below a path is as short as it may be here. Where it is not, it is another disk; which one it is can't be told
    /// otherwise of mounts of mounts.
    /// </summary>
    public bool IsShortAt(string path)
    {
        try
        {
            var directory = System.IO.Path.GetFullPath(path);
            while (!Directory.Exists(directory) && System.IO.Path.GetDirectoryName(directory) is { } parent)
            {
                directory = parent;
            }

            return new DriveInfo(directory).AvailableFreeSpace < _options.FreeSpaceFloor;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Whoever writes there will meet it.
            return false;
        }
    }

    public ValueTask DisposeAsync() => _timer.DisposeAsync();

    private void Look()
    {
        // First, and each time: what follows may wait with the database's writer, which waits for background work that has failed.
        LookForErrors();
        if (!_looking.TryEnter())
        {
            return;
        }

        try
        {
            LookForSpace();
        }
        finally
        {
            _looking.Exit();
        }
    }

    private void LookForErrors()
    {
        var errors = _database.BackgroundErrors;
        if (errors > 0)
        {
            _database.Health.Fail(new StorageException(
                $"The disk of {_database.Path} has failed: the database could not write its files ({errors} errors; "
                + $"details in {System.IO.Path.Combine(_database.Path, "store", "LOG")}). The node stops. Free or repair "
                + "the disk, then start it again; what was acknowledged before is kept."));
        }
    }

    private void LookForSpace()
    {
        long free;
        try
        {
            free = _drive.AvailableFreeSpace;
        }
        catch (IOException error)
        {
            _database.Health.SetShortage(
                $"The free space of {_database.Path} can't be read: {error.Message} No mail is accepted.");
            return;
        }

        var isShort = free < _options.FreeSpaceFloor;
        _database.Health.SetShortage(isShort
            ? $"The disk of {_database.Path} is nearly full: {free >> 20} MiB are free, {_options.FreeSpaceFloor >> 20} "
                + "MiB are kept. No mail is accepted until there is space; delivery goes on."
            : null);
        if (isShort != _short)
        {
            _short = isShort;
            LogSpace(_logger, isShort ? LogLevel.Error : LogLevel.Information, _database.Path, free >> 20,
                _options.FreeSpaceFloor >> 20, isShort ? "no mail is accepted" : "mail is accepted again");
        }

        _database.Space.Look(free);
    }

    [LoggerMessage(Message = "disk of {Path}: {FreeMiB} MiB free, floor {FloorMiB} MiB: {Consequence}")]
    private static partial void LogSpace(
        ILogger logger, LogLevel level, string path, long freeMiB, long floorMiB, string consequence);
}
