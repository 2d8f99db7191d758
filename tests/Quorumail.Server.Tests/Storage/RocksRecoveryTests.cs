using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Tests.Storage;

public sealed class RocksRecoveryTests
{
    private const int Count = 8;

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    public void What_a_power_cut_takes_out_of_the_middle_takes_with_it_what_came_after(int tornBytes)
    {
        using var directory = new TemporaryDirectory();
        var live = Path.Combine(directory.Path, "live");
        var cut = Path.Combine(directory.Path, "cut");
        Directory.CreateDirectory(live);
        Directory.CreateDirectory(cut);
        long end = 0;
        using (var store = Open(live))
        {
            // No table is written, so that nothing is synced: what was written is in two logs, as far as the system has got with them.
            store.Abandon();
            for (var i = 0; i < Count; i++)
            {
                if (i == 2)
                {
                    end = new FileInfo(Logs(live).Single()).Length;
                }

                Put(store, i);
            }

            foreach (var file in Directory.GetFiles(live))
            {
                File.Copy(file, Path.Combine(cut, Path.GetFileName(file)));
            }
        }

        Assert.Equal(2, Logs(cut).Length);
        using (var first = new FileStream(Logs(cut)[0], FileMode.Open))
        {
            Assert.InRange(end, 1, first.Length - 1);
            first.SetLength(end + tornBytes);
        }

        using var again = Open(cut);
        Assert.Equal([0, 1], Enumerable.Range(0, Count).Where(i => again.Get(again.Family("default"), [(byte)i]) is not null));
    }

    [Fact]
    public void A_page_that_never_came_to_the_disk_ends_a_log_that_was_not_synced()
    {
        using var directory = new TemporaryDirectory();
        var cut = Path.Combine(directory.Path, "cut");
        Directory.CreateDirectory(cut);
        using (var store = Open(directory.Path))
        {
            Put(store, 0);
            var end = new FileInfo(Logs(directory.Path).Single()).Length;
            Put(store, 1);
            Put(store, 2);
            foreach (var file in Directory.GetFiles(directory.Path))
            {
                File.Copy(file, Path.Combine(cut, Path.GetFileName(file)));
            }

            using var log = new FileStream(Logs(cut).Single(), FileMode.Open);
            log.Position = end + 4096;
            log.Write(Enumerable.Repeat((byte)0xA5, 4096).ToArray());
        }

        using var again = Open(cut);
        Assert.Equal([0], Enumerable.Range(0, 3).Where(i => again.Get(again.Family("default"), [(byte)i]) is not null));
    }

    private static string[] Logs(string path) => [.. Directory.GetFiles(path, "*.log").Order(StringComparer.Ordinal)];

    private static void Put(RocksStore store, int number)
    {
        using var batch = new RocksBatch();
        batch.Put(store.Family("default"), [(byte)number], new byte[200 << 10]);
        store.Write(batch, sync: false);
    }

    // Its memory holds 1 MiB.
    private static RocksStore Open(string path) =>
        RocksStore.Open(path, RocksSettings.ForDatabase(create: true, isDirect: false), [("default", RocksSettings.ForMeta())]);
}
