using System.Runtime.InteropServices;

namespace Quorumail.Server.Storage;

/// <summary>Files that are on the disk when a call returns. .NET's own flush calls hide errors, so libc is asked directly.</summary>
internal static partial class DurableFile
{
    private const int ReadOnly = 0;
    private const int CloseOnExec = 0x80000;

    /// <summary>Replaces a file, or makes it, whole or not at all.</summary>
    /// <exception cref="IOException">Not written, or not known to be on the disk.</exception>
    public static void Replace(string path, ReadOnlySpan<byte> content)
    {
        var temporary = path + ".new";
        using (var stream = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            stream.Write(content);
            stream.Flush();
            Check(Fsync((int)stream.SafeFileHandle.DangerousGetHandle()), temporary);
        }

        File.Move(temporary, path, overwrite: true);
        SyncDirectory(Path.GetDirectoryName(path) ?? "/");
    }

    /// <summary>Makes the names in a directory durable.</summary>
    /// <exception cref="IOException">Not known to be on the disk.</exception>
    public static void SyncDirectory(string path)
    {
        var descriptor = Open(path, ReadOnly | CloseOnExec);
        Check(descriptor, path);
        var result = Fsync(descriptor);
        var error = Marshal.GetLastPInvokeError();
        _ = Close(descriptor);
        Marshal.SetLastPInvokeError(error);
        Check(result, path);
    }

    private static void Check(int result, string path)
    {
        if (result < 0)
        {
            throw new IOException(
                $"{path} can't be made durable: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}.");
        }
    }

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(int descriptor);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
