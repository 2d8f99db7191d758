using Quorumail.Core.Mail;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Tests.Storage;

public sealed class CrashTests
{
    private const string Writer = "Quorumail.Server.Tests.Storage.CrashTests.Child_that_writes_bodies";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task No_completed_body_is_lost_by_kill_9_mid_write()
    {
        using var directory = new TemporaryDirectory();
        for (var round = 1; round <= 3; round++)
        {
            var before = ChildProcess.Acked(directory.Path).Length;
            await using (var child = ChildProcess.Start(Writer, directory.Path))
            {
                await child.WaitForAcksAsync(before + 100 + (37 * round));
                await child.KillAsync();
            }

            await AssertAllAckedAreThereAsync(directory);
        }
    }

    [Fact]
    public async Task A_failed_fsync_fails_the_disk_and_nothing_is_acknowledged_after_it()
    {
        if (!File.Exists("/usr/bin/strace"))
        {
            Assert.Skip("strace, which makes fdatasync fail, is not installed");
        }

        using var directory = new TemporaryDirectory();
        await using (var child = ChildProcess.Start(
            Writer, directory.Path, "/usr/bin/strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync",
            "-e", "inject=fdatasync:error=EIO:when=60+"))
        {
            await child.WaitForExitAsync();
        }

        var acked = ChildProcess.Acked(directory.Path);
        Assert.StartsWith("failed: The disk has failed", acked[^1], StringComparison.Ordinal);
        Assert.InRange(acked.Length, 2, 2000);
        Assert.DoesNotContain(acked[..^1], line => line.StartsWith("failed", StringComparison.Ordinal));
        await AssertAllAckedAreThereAsync(directory);
    }

    [Fact(Explicit = true)]
    public async Task Child_that_writes_bodies()
    {
        var directory = ChildProcess.Directory;
        Assert.SkipWhen(directory is null, "runs in a process of its own");
        await using var database = Database.Open(
            new DatabaseOptions { Path = Path.Combine(directory, "data"), BodyBufferBytes = 1 << 20 },
            TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        var bodies = new BodyStore(database);
        await using var acks = ChildProcess.OpenAcks(directory);
        var gate = new Lock();
        var life = (uint)Random.Shared.Next();
        try
        {
            await Task.WhenAll(Enumerable.Range(0, 8).Select(writer => Task.Run(async () =>
            {
                for (var i = 0; i < 100_000; i++)
                {
                    var id = QueueId.Create((writer * 1_000_000L) + i, life);
                    await BodyStoreTests.WriteAsync(bodies, id, OctetsOf(id));
                    lock (gate)
                    {
                        acks.WriteLine(id);
                    }
                }
            }, Token)));
        }
        catch (StorageException)
        {
            var failure = await database.Health.Failed;
            Assert.False(database.Health.AcceptsMail);
            await acks.WriteLineAsync("failed: " + failure.Message.ReplaceLineEndings(" "));
        }
    }

    [Fact]
    public async Task A_torn_tail_is_cut_off_and_everything_before_it_is_kept()
    {
        const int Count = 20;
        using var crashed = new TemporaryDirectory();
        await CrashAsync(crashed, Count);
        var original = await File.ReadAllBytesAsync(Log(crashed), Token);
        var end = original.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        for (var cut = 1; cut < 3000; cut += 411)
        {
            using var directory = new TemporaryDirectory();
            Copy(crashed.Path, directory.Path);
            byte[] torn = [.. original];
            torn.AsSpan(end - cut, cut).Clear();
            await File.WriteAllBytesAsync(Log(directory), torn, Token);

            await using var database = BodyStoreTests.Open(directory);
            Assert.Equal(Count - 1, new BodyStore(database).Ids().Count());
        }
    }

    [Fact]
    public async Task What_the_journal_alone_holds_is_there_after_a_crash_and_after_another()
    {
        using var crashed = new TemporaryDirectory();
        using var again = new TemporaryDirectory();
        await CrashAsync(crashed, 30);
        await using (var database = BodyStoreTests.Open(crashed))
        {
            Assert.Equal(30, new BodyStore(database).Ids().Count());
            Copy(crashed.Path, again.Path);
        }

        await using var second = BodyStoreTests.Open(again);
        var bodies = new BodyStore(second);
        foreach (var id in bodies.Ids().ToArray())
        {
            Assert.Equal(OctetsOf(id), await BodyStoreTests.ReadAsync(bodies, id));
        }

        Assert.Equal(30, bodies.Ids().Count());
    }

    [Fact]
    public async Task A_flipped_bit_inside_the_log_refuses_the_start_and_says_why()
    {
        using var directory = new TemporaryDirectory();
        await CrashAsync(directory, 60);
        await FlipAsync(Log(directory), 60 * 1500);
        var refused = Assert.Throws<StorageException>(() => BodyStoreTests.Open(directory));
        Assert.Contains("is damaged", refused.Message, StringComparison.Ordinal);
        Assert.Contains(directory.Path, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_flipped_bit_in_a_blob_file_is_reported_for_that_body_alone()
    {
        using var directory = new TemporaryDirectory();
        await WriteAsync(directory, 20, flush: true);
        var blob = new FileInfo(Directory.GetFiles(directory.Path, "*.blob", SearchOption.AllDirectories).Single());
        await FlipAsync(blob.FullName, (int)blob.Length / 2);
        await using var database = BodyStoreTests.Open(directory);
        var bodies = new BodyStore(database);
        var corrupt = 0;
        foreach (var id in bodies.Ids().ToArray())
        {
            try
            {
                Assert.Equal(OctetsOf(id), await BodyStoreTests.ReadAsync(bodies, id));
            }
            catch (BodyCorruptException error)
            {
                Assert.Equal(id, error.Id);
                corrupt++;
            }
        }

        Assert.Equal(1, corrupt);
    }

    [Theory]
    [InlineData("store", "has lost its database")]
    [InlineData("stamp.json", "no stamp.json")]
    public async Task A_directory_that_is_not_whole_is_refused(string missing, string says)
    {
        using var directory = new TemporaryDirectory();
        await WriteAsync(directory, 1);
        Directory.Move(Path.Combine(directory.Path, missing), Path.Combine(directory.Path, "away"));
        var refused = Assert.Throws<StorageException>(() => BodyStoreTests.Open(directory));
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Parts_of_two_directories_are_refused()
    {
        using var one = new TemporaryDirectory();
        using var two = new TemporaryDirectory();
        await WriteAsync(one, 1);
        await WriteAsync(two, 1);
        File.Copy(Path.Combine(one.Path, "stamp.json"), Path.Combine(two.Path, "stamp.json"), overwrite: true);
        var refused = Assert.Throws<StorageException>(() => BodyStoreTests.Open(two));
        Assert.Contains("belongs to another disk", refused.Message, StringComparison.Ordinal);
    }

    private static async Task WriteAsync(TemporaryDirectory directory, int count, bool flush = false)
    {
        await using var database = BodyStoreTests.Open(directory);
        var bodies = new BodyStore(database);
        for (var i = 0u; i < count; i++)
        {
            var id = QueueId.Create(4000, i);
            await BodyStoreTests.WriteAsync(bodies, id, OctetsOf(id));
        }

        if (flush)
        {
            database.Store.Flush(database.Bodies);
        }
    }

    /// <summary>Leaves a directory as a crash would: what is on the disk while the database is open.</summary>
    private static async Task CrashAsync(TemporaryDirectory crashed, int count)
    {
        using var directory = new TemporaryDirectory();
        await using var database = BodyStoreTests.Open(directory);
        var bodies = new BodyStore(database);
        for (var i = 0u; i < count; i++)
        {
            var id = QueueId.Create(4000, i);
            await BodyStoreTests.WriteAsync(bodies, id, OctetsOf(id));
        }

        Copy(directory.Path, crashed.Path);
    }

    private static void Copy(string from, string to)
    {
        foreach (var directory in Directory.GetDirectories(from, "*", SearchOption.AllDirectories))
        {
            Directory.CreateDirectory(Path.Combine(to, Path.GetRelativePath(from, directory)));
        }

        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories).Where(file => Path.GetFileName(file) is not ("LOCK" or "lock")))
        {
            using var source = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var target = File.Create(Path.Combine(to, Path.GetRelativePath(from, file)));
            source.CopyTo(target);
        }
    }

    private static string Log(TemporaryDirectory directory) =>
        Directory.GetFiles(Path.Combine(directory.Path, "log", "journal"), "*.log").Order(StringComparer.Ordinal).Last();

    private static async Task FlipAsync(string path, int where)
    {
        var bytes = await File.ReadAllBytesAsync(path, Token);
        bytes[where] ^= 0x20;
        await File.WriteAllBytesAsync(path, bytes, Token);
    }

    /// <summary>Octets that an id alone determines; one in eight bodies has several chunks.</summary>
    private static byte[] OctetsOf(QueueId id)
    {
        var random = new Random((int)(id.Milliseconds ^ id.RandomPart));
        var octets = new byte[id.Milliseconds % 8 == 7 ? random.Next(200_000) : 3000 + random.Next(2000)];
        random.NextBytes(octets);
        return octets;
    }

    private static async Task AssertAllAckedAreThereAsync(TemporaryDirectory directory)
    {
        await using var database = Database.Open(
            new DatabaseOptions { Path = Path.Combine(directory.Path, "data") },
            TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        var bodies = new BodyStore(database);
        foreach (var line in ChildProcess.Acked(directory.Path))
        {
            if (QueueId.TryParse(line, out var id))
            {
                Assert.Equal(OctetsOf(id), await BodyStoreTests.ReadAsync(bodies, id));
            }
        }
    }
}
