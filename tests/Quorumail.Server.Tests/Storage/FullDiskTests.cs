using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quorumail.Core.Mail;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Tests.Storage;

public sealed class FullDiskTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Below_the_floor_no_mail_is_accepted_until_there_is_space_again()
    {
        using var disk = SmallDisk.Mount(250);
        var time = new FakeTimeProvider();
        await using var database = Database.Open(
            new DatabaseOptions { Path = Path.Combine(disk.Path, "data"), FreeSpaceFloor = 100 << 20 }, time, NullLogger.Instance);
        Assert.Null(database.Health.Reason);
        Assert.True(database.Health.AcceptsMail);

        var filler = Path.Combine(disk.Path, "filler");
        await File.WriteAllBytesAsync(filler, new byte[140 << 20], Token);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(database.Health.AcceptsMail);
        Assert.Contains("nearly full", database.Health.Reason, StringComparison.Ordinal);

        // Delivery goes on, so the store still writes.
        await BodyStoreTests.WriteAsync(new BodyStore(database), QueueId.Create(1, 1), BodyStoreTests.Octets(1000));

        File.Delete(filler);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(database.Health.AcceptsMail);
        Assert.False(database.Health.Failed.IsCompleted);
    }

    [Fact]
    public async Task A_full_disk_fails_the_node_and_loses_nothing_that_was_acknowledged()
    {
        using var disk = SmallDisk.Mount(24);
        var options = new DatabaseOptions
        {
            Path = Path.Combine(disk.Path, "data"),
            FreeSpaceFloor = 0,
            JournalFileBytes = 4 << 20,
            BodyBufferBytes = 4 << 20,
        };
        var acked = new List<QueueId>();
        await using (var database = Database.Open(options, TimeProvider.System, NullLogger.Instance))
        {
            var bodies = new BodyStore(database);
            await Assert.ThrowsAsync<StorageException>(async () =>
            {
                for (var i = 0u; i < 1000; i++)
                {
                    var id = QueueId.Create(1, i);
                    await BodyStoreTests.WriteAsync(bodies, id, BodyStoreTests.Octets(60_000 + (int)i));
                    acked.Add(id);
                }
            });
            var failure = await database.Health.Failed.WaitAsync(TimeSpan.FromSeconds(10), Token);
            Assert.Contains("The disk", failure.Message, StringComparison.Ordinal);
            Assert.False(database.Health.AcceptsMail);
            Assert.NotEmpty(acked);
        }

        disk.Resize(200);
        await using var again = Database.Open(options, TimeProvider.System, NullLogger.Instance);
        foreach (var id in acked)
        {
            Assert.Equal(
                BodyStoreTests.Octets(60_000 + (int)id.RandomPart), await BodyStoreTests.ReadAsync(new BodyStore(again), id));
        }
    }

    [Fact]
    public async Task A_body_under_way_is_given_up_below_the_floor_and_leaves_nothing()
    {
        using var disk = SmallDisk.Mount(250);
        var time = new FakeTimeProvider();
        await using var database = Database.Open(
            new DatabaseOptions { Path = Path.Combine(disk.Path, "data"), FreeSpaceFloor = 100 << 20 }, time, NullLogger.Instance);
        var bodies = new BodyStore(database);
        await using (var writer = bodies.Begin(QueueId.Create(1, 1)))
        {
            await writer.WriteAsync(BodyStoreTests.Octets(200_000), Token);
            await FillAsync(disk, leave: 90 << 20);
            time.Advance(TimeSpan.FromSeconds(1));
            var refusal = await Assert.ThrowsAsync<StorageException>(async () => await writer.WriteAsync(BodyStoreTests.Octets(200_000), Token));
            Assert.Contains("nearly full", refusal.Message, StringComparison.Ordinal);
        }

        Assert.Empty(bodies.Ids());
        Assert.Null(database.Health.Failure);
    }

    [Fact]
    public async Task Below_the_floor_nothing_is_to_be_written_elsewhere_on_the_same_disk()
    {
        using var disk = SmallDisk.Mount(250);
        using var other = SmallDisk.Mount(250);
        var time = new FakeTimeProvider();
        await using var database = Database.Open(
            new DatabaseOptions { Path = Path.Combine(disk.Path, "data"), FreeSpaceFloor = 100 << 20 }, time, NullLogger.Instance);
        var same = Path.Combine(disk.Path, "data", "maildir", "not", "made", "yet");
        Assert.Null(database.ShortageAt(same));
        await FillAsync(disk, leave: 90 << 20);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Contains("nearly full", database.ShortageAt(same), StringComparison.Ordinal);
        Assert.Null(database.ShortageAt(Path.Combine(other.Path, "maildir")));
    }

    private static async Task FillAsync(SmallDisk disk, long leave)
    {
        var free = new DriveInfo(disk.Path).AvailableFreeSpace;
        Assert.InRange(free, leave, long.MaxValue);
        await File.WriteAllBytesAsync(Path.Combine(disk.Path, "filler"), new byte[free - leave], Token);
    }

    /// <summary>A file system in memory of a given size; needs root.</summary>
    private sealed class SmallDisk : IDisposable
    {
        private readonly TemporaryDirectory _directory = new();

        public string Path => _directory.Path;

        public static SmallDisk Mount(int megabytes)
        {
            var disk = new SmallDisk();
            if (Run("mount", "-t", "tmpfs", "-o", Size(megabytes), "tmpfs", disk.Path) != 0)
            {
                disk._directory.Dispose();
                Assert.Skip("a small file system can't be mounted here (not root?)");
            }

            return disk;
        }

        public void Resize(int megabytes) => Assert.Equal(0, Run("mount", "-o", "remount," + Size(megabytes), Path));

        public void Dispose()
        {
            Assert.Equal(0, Run("umount", Path));
            _directory.Dispose();
        }

        private static string Size(int megabytes) => string.Create(CultureInfo.InvariantCulture, $"size={megabytes}m");

        private static int Run(string program, params string[] arguments)
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, UseShellExecute = false })!;
            process.WaitForExit();
            return process.ExitCode;
        }
    }
}
