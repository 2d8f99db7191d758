using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Tests.Storage;

public sealed class RocksStoreTests
{
    [Fact]
    public void Whoever_comes_when_the_database_is_closed_is_refused()
    {
        using var directory = new TemporaryDirectory();
        var store = Open(directory);
        var family = store.Family("default");
        store.Dispose();

        Assert.Throws<RocksException>(() => store.Get(family, "key"u8));
        Assert.Throws<RocksException>(() => store.Iterate(family));
        Assert.Throws<RocksException>(() => store.PutUnlogged(family, "key"u8, "value"u8, waits: true));
        store.Dispose();
    }

    [Fact]
    public async Task Closing_waits_for_whoever_reads()
    {
        using var directory = new TemporaryDirectory();
        var store = Open(directory);
        var family = store.Family("default");
        store.PutUnlogged(family, "key"u8, "value"u8, waits: true);
        var iterator = store.Iterate(family);
        var closing = Task.Run(store.Dispose, TestContext.Current.CancellationToken);
        while (TakesMore(store, family))
        {
            await Task.Yield();
        }

        Assert.False(closing.IsCompleted);
        Assert.True(iterator.Seek("key"u8));
        iterator.Dispose();
        await closing.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
    }

    private static bool TakesMore(RocksStore store, RocksFamily family)
    {
        try
        {
            return store.Get(family, "key"u8) is not null;
        }
        catch (RocksException)
        {
            return false;
        }
    }

    private static RocksStore Open(TemporaryDirectory directory) =>
        RocksStore.Open(directory.Path, "create_if_missing=true", [("default", "")]);
}
