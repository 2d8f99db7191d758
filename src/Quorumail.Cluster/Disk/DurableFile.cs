using Microsoft.Win32.SafeHandles;

namespace Quorumail.Cluster.Disk;

/// <summary>Small files that are replaced as a whole: after a crash either the old or the new contents are there.</summary>
public static class DurableFile
{
    /// <summary>Replaces, or creates, a file by writing another, syncing it and renaming it.</summary>
    /// <exception cref="IOException">The disk reported an error; the old contents may still be the durable ones.</exception>
    public static void Replace(string path, ReadOnlySpan<byte> contents)
    {
        ArgumentNullException.ThrowIfNull(path);
        string temporary = path + ".new";
        using (SafeFileHandle file = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(file, contents, 0);
            Fsync.File(file);
        }

        File.Move(temporary, path, overwrite: true);
        Fsync.Directory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }
}
