using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Quorumail.Cluster.Disk;

/// <summary>
/// Makes what was written durable, and says so if it can't. .NET's own <c>RandomAccess.FlushToDisk</c> and
/// <c>FileStream.Flush(true)</c> swallow the error. After a failed call the kernel may have dropped the pages: never
/// retry, stop.
/// </summary>
public static partial class Fsync
{
    private const int OpenDirectory = 0x10000;
    private const int OpenCloseOnExec = 0x80000;

    /// <summary>Makes a file's contents and metadata durable.</summary>
    /// <exception cref="IOException">The disk reported an error.</exception>
    public static void File(SafeFileHandle file) => Check(Sync(file), "fsync", null);

    /// <summary>Makes a file's contents durable, and of its metadata what reading them needs.</summary>
    /// <exception cref="IOException">The disk reported an error.</exception>
    public static void Data(SafeFileHandle file) => Check(SyncData(file), "fdatasync", null);

    /// <summary>Makes a directory's entries durable: files created in it, renamed into it or deleted from it.</summary>
    /// <exception cref="IOException">The directory can't be opened, or the disk reported an error.</exception>
    public static void Directory(string path)
    {
        using SafeFileHandle handle = Open(path);
        Check(Sync(handle), "fsync", path);
    }

    /// <summary>Opens a directory, to sync it by <see cref="File"/>: for those who must tell that it can't be opened from that it can't be synced.</summary>
    /// <exception cref="IOException">It can't be opened.</exception>
    public static SafeFileHandle Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        int descriptor = Open(path, (RuntimeInformation.ProcessArchitecture is Architecture.Arm64 ? 0x4000 : OpenDirectory) | OpenCloseOnExec);
        Check(descriptor, "open", path);
        return new SafeFileHandle(descriptor, ownsHandle: true);
    }

    private static void Check(int result, string call, string? path)
    {
        if (result < 0)
        {
            int error = Marshal.GetLastPInvokeError();
            string where = path is null ? string.Empty : $" of {path}";
            throw new IOException($"{call}{where} failed: {Marshal.GetPInvokeErrorMessage(error)} (errno {error})", error);
        }
    }

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int SyncData(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);
}
