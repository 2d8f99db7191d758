using Microsoft.Win32.SafeHandles;
using Quorumail.Cluster.Disk;

namespace Quorumail.Cluster.Tests;

public sealed class DiskTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void A_failed_fsync_is_reported_with_the_systems_own_words()
    {
        // A pipe can't be synced: EINVAL, as EIO would come.
        using System.IO.Pipes.AnonymousPipeServerStream pipe = new();
        using SafeFileHandle handle = new(pipe.SafePipeHandle.DangerousGetHandle(), ownsHandle: false);

        IOException failure = Assert.Throws<IOException>(() => Fsync.Data(handle));

        Assert.Contains("fdatasync failed: Invalid argument (errno 22)", failure.Message, StringComparison.Ordinal);
        Assert.Throws<IOException>(() => Fsync.File(handle));
    }

    [Fact]
    public void A_missing_directory_is_reported()
    {
        IOException failure = Assert.Throws<IOException>(() => Fsync.Directory(_directory["missing"]));

        Assert.Contains("No such file or directory", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_is_replaced_as_a_whole()
    {
        DurableFile.Replace(_directory["file"], "first, and longer"u8);
        DurableFile.Replace(_directory["file"], "second"u8);

        Assert.Equal("second", File.ReadAllText(_directory["file"]));
        Assert.Single(Directory.GetFiles(_directory.Path));
    }
}
