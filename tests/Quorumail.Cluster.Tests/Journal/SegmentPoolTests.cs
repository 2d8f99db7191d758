using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Tests.Network;

namespace Quorumail.Cluster.Tests.Journal;

public sealed class SegmentPoolTests : IDisposable
{
    private const int Size = 1 << 20;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_file_that_finds_no_room_leaves_nothing_and_is_not_tried_again_until_there_is_some()
    {
        using SmallDisk? disk = SmallDisk.TryMount(_directory["disk"], "8m");
        Assert.SkipWhen(disk is null, "A file system of limited size can only be mounted by root.");
        string spares = Path.Combine(disk.Path, "log");
        string filler = Path.Combine(disk.Path, "filler");
        Directory.CreateDirectory(spares);
        using SegmentPool pool = new(spares, Size);

        // What delivery frees bit by bit.
        for (int free = 0; free < 2 * Size; free += Size / 4)
        {
            await FillAsync(disk, filler, leave: free);
            pool.Prepare();
            await pool.Work;
            Assert.Empty(Directory.GetFiles(spares));
            Assert.Null(pool.TryTake());
            Assert.InRange(Free(disk), free - Environment.SystemPageSize, free);
        }

        await FillAsync(disk, filler, leave: 2 * Size);
        pool.Prepare();
        await pool.Work;
        Assert.NotNull(pool.TryTake());
    }

    [Fact]
    public async Task A_file_that_is_cut_short_is_deleted()
    {
        using (SegmentPool pool = new(_directory.Path, 64 * Size))
        {
            pool.Prepare();
            await Eventually.TrueAsync(() => Directory.GetFiles(_directory.Path).Length > 0, () => "no file is made");
        }

        Assert.All(new DirectoryInfo(_directory.Path).GetFiles(), file => Assert.Equal(64 * Size, file.Length));
    }

    private static long Free(SmallDisk disk) => new DriveInfo(disk.Path).AvailableFreeSpace;

    private static async Task FillAsync(SmallDisk disk, string filler, long leave)
    {
        File.Delete(filler);
        await File.WriteAllBytesAsync(filler, new byte[Free(disk) - leave], TestContext.Current.CancellationToken);
    }
}
