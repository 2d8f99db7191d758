using System.Globalization;
using System.Text.Json;
using Quorumail.Cluster.Disk;

namespace Quorumail.Server.Storage;

/// <summary>
/// The data directory of one node: its lock, and the stamp that says which format and which disk it is. Holding it keeps
/// every other process out.
/// </summary>
internal sealed class DataDirectory : IDisposable
{
    /// <summary>Version of the layout of the directory and of everything that the store writes into it.</summary>
    public const int Format = 1;

    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode PrivateDirectory = Private | UnixFileMode.UserExecute;

    private readonly FileStream _lock;

    private DataDirectory(string path, FileStream held, DiskStamp stamp)
    {
        Path = path;
        _lock = held;
        Stamp = stamp;
    }

    /// <summary>Full path.</summary>
    public string Path { get; }

    /// <summary>Where the database is.</summary>
    public string StorePath => StorePathOf(Path);

    /// <summary>Which disk this is. <see cref="DiskStamp.Formed"/> is false until <see cref="MarkFormed"/>.</summary>
    public DiskStamp Stamp { get; private set; }

    /// <summary>Whether there is one at a path.</summary>
    public static bool IsMade(string path) => File.Exists(StampPathOf(path));

    /// <summary>Makes the directory if it is missing, locks it and reads its stamp.</summary>
    /// <exception cref="StorageException">In use, not usable, of a newer format, or not whole.</exception>
    public static DataDirectory Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        FileStream? held = null;
        try
        {
            CreateDirectory(path);
            held = Lock(path);
            var stamp = ReadOrMakeStamp(path);
            CreateDirectory(StorePathOf(path));
            return new DataDirectory(path, held, stamp);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            held?.Dispose();
            throw new StorageException(
                $"The data directory {path} can't be used: {error.Message} Check that it exists on a writable disk and "
                + "belongs to the user that runs the server, or choose another with [storage] path.", error);
        }
        catch
        {
            held?.Dispose();
            throw;
        }
    }

    /// <summary>Records that the database has been made and stamped: from now on a missing one is a loss, not a beginning.</summary>
    public void MarkFormed()
    {
        Stamp = Stamp with { Formed = true };
        WriteStamp(Path, Stamp);
    }

    public void Dispose() => _lock.Dispose();

    private static string StorePathOf(string path) => System.IO.Path.Combine(path, "store");

    private static string StampPathOf(string path) => System.IO.Path.Combine(path, "stamp.json");

    private static void CreateDirectory(string path)
    {
        if (!Directory.Exists(path))
        {
            Directory.CreateDirectory(path, PrivateDirectory);
            Fsync.Directory(System.IO.Path.GetDirectoryName(path) ?? "/");
        }
    }

    private static FileStream Lock(string path)
    {
        var file = System.IO.Path.Combine(path, "lock");
        FileStream held;
        try
        {
            held = new FileStream(file, new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                UnixCreateMode = Private,
            });
        }
        catch (IOException error) when (error.GetType() == typeof(IOException) && File.Exists(file))
        {
            throw new StorageException(
                $"The data directory {path} is in use by another running server. Stop that one first, or choose "
                + "another directory with [storage] path (SMTP_STORAGE_PATH).", error);
        }

        // For the operator's eyes only; the lock is the kernel's.
        held.SetLength(0);
        held.Write(System.Text.Encoding.ASCII.GetBytes(
            Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n"));
        held.Flush();
        return held;
    }

    private static DiskStamp ReadOrMakeStamp(string path)
    {
        var file = StampPathOf(path);
        if (!File.Exists(file))
        {
            if (File.Exists(System.IO.Path.Combine(StorePathOf(path), "CURRENT")))
            {
                throw new StorageException(
                    $"The data directory {path} holds a database but no stamp.json: it was copied or restored in part. "
                    + "Restore it whole, or start with an empty directory.");
            }

            var made = new DiskStamp(Format, Guid.CreateVersion7().ToString("N"), Formed: false);
            WriteStamp(path, made);
            return made;
        }

        DiskStamp? stamp;
        try
        {
            stamp = JsonSerializer.Deserialize(File.ReadAllBytes(file), DiskStampJson.Default.DiskStamp);
        }
        catch (JsonException error)
        {
            throw new StorageException($"The stamp {file} is damaged: {error.Message} Restore it from a copy.", error);
        }

        return stamp switch
        {
            { Format: < 1 or > Format } => throw new StorageException(
                $"The data directory {path} has format {stamp.Format}; this version reads format {Format}. Use the version "
                + "that wrote it."),
            { DiskId.Length: > 0 } => stamp,
            _ => throw new StorageException($"The stamp {file} is damaged: it names no disk. Restore it from a copy."),
        };
    }

    private static void WriteStamp(string path, DiskStamp stamp) =>
        DurableFile.Replace(StampPathOf(path), JsonSerializer.SerializeToUtf8Bytes(stamp, DiskStampJson.Default.DiskStamp));
}
