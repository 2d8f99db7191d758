using System.Diagnostics;

namespace Quorumail.Cluster.Tests;

/// <summary>A file system of limited size, in memory.</summary>
internal sealed class SmallDisk : IDisposable
{
    private SmallDisk(string path) => Path = path;

    public string Path { get; }

    /// <summary>Mounts it; nothing if this process may not.</summary>
    public static SmallDisk? TryMount(string path, string size)
    {
        Directory.CreateDirectory(path);
        return Run("mount", "-t", "tmpfs", "-o", $"size={size}", "tmpfs", path) ? new SmallDisk(path) : null;
    }

    public void Grow(string size) => Assert.True(Run("mount", "-o", $"remount,size={size}", Path));

    public void Dispose() => Run("umount", Path);

    private static bool Run(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { UseShellExecute = false, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
