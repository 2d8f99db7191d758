using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Quorumail.EndToEnd.Processes;

/// <summary>
/// A file system in an image file whose power can be cut: ext4's own shutdown, without writing its journal, leaves on the
/// image what a disk would hold then. Needs root and loop devices.
/// </summary>
internal sealed partial class PowerCutDisk : IDisposable
{
    private const uint ShutDown = 0x8004587D; // EXT4_IOC_SHUTDOWN
    private const uint WithoutFlush = 2; // EXT4_GOING_FLAGS_NOLOGFLUSH

    private readonly TemporaryDirectory _directory = new();
    private bool _isMounted;

    private PowerCutDisk()
    {
    }

    /// <summary>Where it is mounted.</summary>
    public string Path => _directory["disk"];

    private string Image => _directory["image"];

    /// <summary>Makes and mounts it; skips the test where that can't be.</summary>
    public static PowerCutDisk Mount(int megabytes)
    {
        var disk = new PowerCutDisk();
        Directory.CreateDirectory(disk.Path);
        using (var image = File.Create(disk.Image))
        {
            image.SetLength((long)megabytes << 20);
        }

        if (Run("mkfs.ext4", "-q", "-F", disk.Image) is { } failure || (failure = disk.TryMount()) is not null)
        {
            disk.Dispose();
            Assert.Skip($"a disk whose power can be cut needs root, loop devices and e2fsprogs: {failure}");
        }

        return disk;
    }

    /// <summary>From now on nothing reaches the image, and what has not reached it is lost.</summary>
    public void Cut()
    {
        using SafeFileHandle handle = new(Open(Path, 0x10000 | 0x80000), ownsHandle: true); // O_DIRECTORY | O_CLOEXEC
        var flags = WithoutFlush;
        if (handle.IsInvalid || Control(handle, ShutDown, ref flags) != 0)
        {
            throw new IOException(string.Create(CultureInfo.InvariantCulture, $"{Path} can't be shut down: errno {Marshal.GetLastPInvokeError()}"));
        }
    }

    /// <summary>Mounts what the image holds; nobody may have a file open.</summary>
    public void Restore()
    {
        Unmount();
        Assert.Null(TryMount());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Unmount();
        _directory.Dispose();
    }

    private string? TryMount()
    {
        var failure = Run("mount", "-o", "loop", Image, Path);
        _isMounted = failure is null;
        return failure;
    }

    private void Unmount()
    {
        if (_isMounted)
        {
            _isMounted = false;
            Assert.Null(Run("umount", Path));
        }
    }

    private static string? Run(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, UseShellExecute = false })!;
            var said = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : $"{program}: {said.Trim()}";
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            return $"{program}: {missing.Message}";
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, nuint request, ref uint argument);
}
