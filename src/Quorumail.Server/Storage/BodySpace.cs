using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>
/// Decides when the bodies that live on in old blob files are copied, so that the files can go. A file goes by itself with its last
/// body, which is the usual way: mail does not stay. If bodies were copied whenever keys are merged, those of a long queue would be moved again and
/// again; so they are only while half of what the files hold is dead, until it is a quarter.
/// </summary>
internal sealed class BodySpace(RocksStore store, RocksFamily bodies, long deadMin)
{
    /// <summary>Whether bodies are copied now.</summary>
    public bool IsCopying { get; private set; }

    /// <summary>Looks at how much is dead. Cheap; to be called now and then.</summary>
    public void Look()
    {
        var dead = store.Property(bodies, "rocksdb.live-blob-file-garbage-size");
        var all = store.Property(bodies, "rocksdb.live-blob-file-size");
        var isDue = dead >= deadMin && dead > all / (IsCopying ? 4 : 2);
        if (isDue == IsCopying)
        {
            return;
        }

        try
        {
            store.SetOption(bodies, "enable_blob_garbage_collection", isDue ? "true" : "false");
            IsCopying = isDue;
        }
        catch (RocksException)
        {
            // A disk that has failed says so elsewhere, and otherwise it is tried again.
        }
    }
}
