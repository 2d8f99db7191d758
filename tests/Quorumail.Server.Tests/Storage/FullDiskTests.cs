using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quorumail.Core.Mail;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;
using Quorumail.Server.Torture;

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

    [Fact]
    public async Task Bodies_are_copied_in_parts_that_find_room_on_a_nearly_full_disk()
    {
        using var disk = SmallDisk.Mount(250);
        await using var database = Database.Open(CopyingOptions(disk), new FakeTimeProvider(), NullLogger.Instance);
        var staying = await WriteBodiesOfWhichFewStayAsync(database);
        var before = BlobBytes(database);
        var live = staying.Length * 40_000;

        // Less than what lives, of which RocksDB would copy all at once: its keys are in one table by now.
        await UntilMostIsDeadAsync(database);
        await FillAsync(disk, leave: live / 2);
        await Deadline.UntilAsync(
            () =>
            {
                database.Space.Look(new DriveInfo(disk.Path).AvailableFreeSpace);
                Assert.Null(database.Health.Failure);
                Assert.Equal(0, database.BackgroundErrors);
                return BlobBytes(database) < before * 3 / 4;
            },
            TimeSpan.FromSeconds(30),
            () => $"{BlobBytes(database)} of {before} are left, copying: {database.Space.IsCopying}",
            Token);
        foreach (var id in staying)
        {
            Assert.Equal(BodyStoreTests.Octets(40_000), await BodyStoreTests.ReadAsync(new BodyStore(database), id));
        }
    }

    [Fact]
    public async Task No_bodies_are_copied_where_not_even_a_part_finds_room()
    {
        using var disk = SmallDisk.Mount(250);
        var options = CopyingOptions(disk) with { BodyFileBytes = 64 << 20 };
        await using var database = Database.Open(options, new FakeTimeProvider(), NullLogger.Instance);
        var staying = await WriteBodiesOfWhichFewStayAsync(database);
        await FillAsync(disk, leave: 6 << 20);
        await UntilMostIsDeadAsync(database);
        database.Space.Look(new DriveInfo(disk.Path).AvailableFreeSpace);
        Assert.False(database.Space.IsCopying);
        database.Space.Look((128L << 20) - 1);
        Assert.True(database.Space.IsCopying, $"{staying.Length * 40_000} bytes live");
    }

    [Fact]
    public async Task A_damaged_body_stops_the_node_once_and_not_at_every_start()
    {
        using var directory = new TemporaryDirectory();
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var options = CopyingOptions(directory.Path) with { FreeSpaceInterval = TimeSpan.FromDays(1) };
        QueueId[] staying;
        QueueId[] damaged;
        await using (var database = Database.Open(options, time, NullLogger.Instance))
        {
            staying = await WriteBodiesOfWhichFewStayAsync(database);

            // So many that no part of the files is without one.
            damaged = [.. staying.Where((_, i) => i % 3 == 0)];
            FlipBits(damaged, directory.Path);
            await UntilMostIsDeadAsync(database);
            await Deadline.UntilAsync(
                () =>
                {
                    database.Space.Look(long.MaxValue);
                    time.Advance(options.FreeSpaceInterval);
                    return database.Health.Failed.IsCompleted;
                },
                TimeSpan.FromSeconds(30),
                () => $"copying: {database.Space.IsCopying}, errors: {database.BackgroundErrors}",
                Token);
        }

        await using (var again = Database.Open(options, time, NullLogger.Instance))
        {

            // What is still in the journal came back.
            Delete(again, AllIds.Except(staying));
            await UntilMostIsDeadAsync(again);
            again.Space.Look(long.MaxValue);
            Assert.False(again.Space.IsCopying);
            time.Advance(options.FreeSpaceInterval);
            Assert.Null(again.Health.Failure);
            foreach (var id in staying)
            {
                var reading = BodyStoreTests.ReadAsync(new BodyStore(again), id);
                if (damaged.Contains(id))
                {
                    await Assert.ThrowsAsync<BodyCorruptException>(() => reading);
                }
                else
                {
                    Assert.Equal(BodyStoreTests.Octets(40_000), await reading);
                }
            }

            // Not for ever: mail does not stay so long, and the damaged bodies with it.
            time.Advance(BodySpace.Pause);
            again.Space.Look(long.MaxValue);
            Assert.True(again.Space.IsCopying);
        }
    }

    private static DatabaseOptions CopyingOptions(SmallDisk disk) => CopyingOptions(Path.Combine(disk.Path, "data"));

    private static DatabaseOptions CopyingOptions(string path) => new()
    {
        Path = path,
        FreeSpaceFloor = 0,
        JournalFileBytes = 4 << 20,
        BodyBufferBytes = 2 << 20,
        BodyFileBytes = 1 << 20,
        DeadBodiesMin = 1 << 20,
    };

    private static readonly QueueId[] AllIds = [.. Enumerable.Range(0, 1500).Select(i => QueueId.Create(1, (uint)i))];

    /// <summary>Writes 60 MB of bodies and deletes all but every fifth, of which it returns the ids; nothing is copied yet.</summary>
    private static async Task<QueueId[]> WriteBodiesOfWhichFewStayAsync(Database database)
    {
        var bodies = new BodyStore(database);
        foreach (var id in AllIds)
        {
            await BodyStoreTests.WriteAsync(bodies, id, BodyStoreTests.Octets(40_000));
        }

        database.Store.Flush(database.Bodies);
        QueueId[] staying = [.. AllIds.Where((_, i) => i % 5 == 0)];
        Delete(database, AllIds.Except(staying));
        return staying;
    }

    // Several tables, so that the keys are merged with those that they delete.
    private static void Delete(Database database, IEnumerable<QueueId> gone)
    {
        var bodies = new BodyStore(database);
        foreach (var part in gone.Chunk(100))
        {
            BodyStoreTests.Write(database, batch => Array.ForEach(part, id => bodies.AddDeletion(batch, id, 40_000)));
            database.Store.Flush(database.Bodies);
        }
    }

    private static long BlobBytes(Database database) => database.Store.Property(database.Bodies, "rocksdb.live-blob-file-size");

    private static Task UntilMostIsDeadAsync(Database database) => Deadline.UntilAsync(
        () => Dead(database) > BlobBytes(database) / 2,
        TimeSpan.FromSeconds(30),
        () => $"{Dead(database)} of {BlobBytes(database)} are dead",
        Token);

    private static long Dead(Database database) => database.Store.Property(database.Bodies, "rocksdb.live-blob-file-garbage-size");

    private static async Task FillAsync(SmallDisk disk, long leave)
    {
        var free = new DriveInfo(disk.Path).AvailableFreeSpace;
        Assert.InRange(free, leave, long.MaxValue);
        await File.WriteAllBytesAsync(Path.Combine(disk.Path, "filler"), new byte[free - leave], Token);
    }

    private static void FlipBits(QueueId[] ids, string directory)
    {
        var key = new byte[QueueId.ByteLength];
        var flipped = 0;
        foreach (var path in Directory.GetFiles(Path.Combine(directory, "store"), "*.blob"))
        {
            var octets = File.ReadAllBytes(path);
            foreach (var id in ids)
            {
                id.WriteTo(key);
                if (octets.AsSpan().IndexOf(key) is >= 0 and var at)
                {
                    octets[at + 1000] ^= 1;
                    flipped++;
                }
            }

            File.WriteAllBytes(path, octets);
        }

        Assert.Equal(ids.Length, flipped);
    }

    [Fact]
    public async Task A_writer_that_waits_for_a_full_disk_does_not_keep_the_node_from_ending()
    {
        using var disk = SmallDisk.Mount(100);
        var options = CopyingOptions(disk) with { BodyBufferBytes = 4 << 20, BodyFileBytes = 64 << 20, FreeSpaceInterval = TimeSpan.FromMilliseconds(20) };
        var database = Database.Open(options, TimeProvider.System, NullLogger.Instance);
        await FillAsync(disk, leave: 3 << 20);

        // More than the memory holds, so that it waits for a table that finds no room.
        var large = new byte[1 << 20];
        var filling = Task.Run(
            () =>
            {
                for (var i = 0u; i < 200; i++)
                {
                    var key = new byte[QueueId.ByteLength];
                    QueueId.Create(1, i).WriteTo(key);
                    database.Store.PutUnlogged(database.Bodies, key, large, waits: true);
                }
            },
            Token);
        var writing = WriteUntilRefusedAsync(database);
        await database.Health.Failed.WaitAsync(TimeSpan.FromSeconds(30), Token);
        await Assert.ThrowsAsync<StorageException>(() => writing.WaitAsync(TimeSpan.FromSeconds(10), Token));
        await Assert.ThrowsAsync<RocksException>(() => filling.WaitAsync(TimeSpan.FromSeconds(10), Token));
        await database.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10), Token);
        disk.Resize(200);
        await using var again = Database.Open(options, TimeProvider.System, NullLogger.Instance);
    }

    [Fact]
    public async Task A_disk_that_is_full_at_the_end_does_not_keep_the_queue_from_closing()
    {
        using var disk = SmallDisk.Mount(100);
        var options = new MailQueueOptions { Database = CopyingOptions(disk) };
        var queue = await QueueDisk.OpenAsync(options, null, new FakeTimeProvider(), NullLoggerFactory.Instance);
        QueueId[] ids = [.. AllIds.Take(25)];
        foreach (var id in ids)
        {
            await BodyStoreTests.WriteAsync(queue.Bodies, id, BodyStoreTests.Octets(60_000));
        }

        // The table that is due at the end is larger by far than what the database may still clear away.
        await FillAsync(disk, leave: 0);
        await queue.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30), Token);
        Assert.NotNull(queue.Database.Health.Failure);

        disk.Resize(200);
        await using var again = await QueueDisk.OpenAsync(options, null, new FakeTimeProvider(), NullLoggerFactory.Instance);
        foreach (var id in ids)
        {
            Assert.Equal(BodyStoreTests.Octets(60_000), await BodyStoreTests.ReadAsync(again.Bodies, id));
        }
    }

    private static async Task WriteUntilRefusedAsync(Database database)
    {
        var deletion = new Deletion(database);
        while (true)
        {
            await database.Commits.WriteAsync(deletion);
        }
    }

    /// <summary>A write of next to nothing.</summary>
    private sealed class Deletion(Database database) : WriteRequest
    {
        public override bool NeedsSync => false;

        public override int ByteCount => 1;

        public override void AddTo(RocksBatch batch) => batch.Delete(database.Bodies, "none"u8);
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
