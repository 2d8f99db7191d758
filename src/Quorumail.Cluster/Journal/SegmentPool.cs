using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Quorumail.Cluster.Disk;

namespace Quorumail.Cluster.Journal;

/// <summary>
/// Files for segments to come. Overwriting what a file holds takes one write of the disk; growing a file, or writing into
/// space that is merely reserved, takes a second one for the file system's own records (measured: 0.21 ms against 0.43 ms
/// for 4 KB). So files that the journal has forgotten are used again, and new ones are filled with zeros in the background.
/// </summary>
internal sealed class SegmentPool : IDisposable
{
    private const int Max = 6;
    private const string NamePrefix = "spare-";

    // Synced one by one, so that entries don't wait behind a whole file.
    private static readonly byte[] Zeros = new byte[1 << 20];

    private readonly string _directory;
    private readonly int _size;
    private readonly Lock _lock = new();
    private readonly Queue<string> _ready = new();
    private Task _work = Task.CompletedTask;
    private readonly CancellationTokenSource _stop = new();
    private long _number;
    private long _roomMin;

    /// <summary>Begins with what an earlier life has left.</summary>
    public SegmentPool(string directory, int size)
    {
        _directory = directory;
        _size = size;

        // A file that takes the disk's last room is worth less than what else would be written there; the journal makes its own when it must.
        _roomMin = 2L * size;
        foreach (FileInfo left in new DirectoryInfo(directory).GetFiles(NamePrefix + "*"))
        {
            if (left.Length != size || !long.TryParse(left.Name.AsSpan(NamePrefix.Length), CultureInfo.InvariantCulture, out long number))
            {
                left.Delete();
                continue;
            }

            _ready.Enqueue(left.FullName);
            _number = Math.Max(_number, number + 1);
        }
    }

    /// <summary>Writes zeros over a whole file, durably, whatever it held.</summary>
    /// <exception cref="IOException">The disk is full or has failed.</exception>
    public static void Fill(SafeFileHandle file, int size, CancellationToken token)
    {
        for (int offset = 0; offset < size; offset += Zeros.Length)
        {
            token.ThrowIfCancellationRequested();
            RandomAccess.Write(file, Zeros.AsSpan(0, Math.Min(Zeros.Length, size - offset)), offset);
            Fsync.Data(file);
        }
    }

    /// <summary>Gives a file, to be renamed, if one is ready.</summary>
    public string? TryTake()
    {
        lock (_lock)
        {
            return _ready.TryDequeue(out string? path) ? path : null;
        }
    }

    /// <summary>The making of a file, if one is being made. For tests.</summary>
    internal Task Work
    {
        get
        {
            lock (_lock)
            {
                return _work;
            }
        }
    }

    /// <summary>Sees to it that a file is ready soon, if the disk has room.</summary>
    public void Prepare()
    {
        lock (_lock)
        {
            if (_ready.Count > 0 || !_work.IsCompleted)
            {
                return;
            }

            string path = NextPath();
            _work = Task.Run(() => Make(path), CancellationToken.None); // Ends by itself when it is told to stop.
        }
    }

    /// <summary>Takes over a file that the journal no longer needs and has closed.</summary>
    public void Recycle(string path)
    {
        lock (_lock)
        {
            if (_ready.Count < Max)
            {
                string spare = NextPath();
                File.Move(path, spare);
                _ready.Enqueue(spare);
                return;
            }
        }

        File.Delete(path);
    }

    /// <summary>Waits for the work under way. Files that are ready are used in the next life.</summary>
    public void Dispose()
    {
        _stop.Cancel();
#pragma warning disable VSTHRD002 // A loop of writes, which sees that it is to stop.
        _work.Wait(CancellationToken.None);
#pragma warning restore VSTHRD002
        _stop.Dispose();
    }

    private string NextPath() =>
        Path.Combine(_directory, string.Create(CultureInfo.InvariantCulture, $"{NamePrefix}{_number++}"));

    private void Make(string path)
    {
        long free = 0;
        try
        {
            free = new DriveInfo(_directory).AvailableFreeSpace;
            if (free < _roomMin)
            {
                return;
            }

            using (SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite))
            {
                Fill(file, _size, _stop.Token);
            }

            lock (_lock)
            {
                _ready.Enqueue(path);
            }
        }
        catch (Exception problem) when (problem is IOException or OperationCanceledException)
        {
            // Nothing is lost by it. If the disk is full or failing, the journal's next write meets that itself. It is asked for again with
            // every write: not before there is more room than this time.
            _roomMin = Math.Max(_roomMin, free + _size);
            TryDelete(path);
        }
    }

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (IOException)
        {
            // It goes at the next start.
        }
    }
}
