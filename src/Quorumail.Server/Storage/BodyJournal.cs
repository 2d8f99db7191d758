using Quorumail.Cluster.Journal;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>
/// Bodies on their way to the disk: into the database's memory, where they are read, and into the journal, which makes
/// them durable with whatever else it syncs. The journal forgets them when the database has written its memory out.
/// </summary>
internal sealed class BodyJournal(RocksStore store, RocksFamily bodies, StorageHealth health) : ILocalRecords, IAsyncDisposable
{
    // One at a time waits for a database that is behind, so that no more threads are held up.
    private readonly SemaphoreSlim _behind = new(1);
    private EntryJournal? _journal;

    /// <summary>The journal; set once it is open.</summary>
    public EntryJournal Journal
    {
        get => _journal!;
        set
        {
            _journal = value;
            _ = WatchAsync(value);
        }
    }

    /// <summary>Writes a record. It is durable when <see cref="BodyRecord.WaitAsync"/> ends, and no later than what is appended after it.</summary>
    /// <exception cref="StorageException">The disk has failed.</exception>
    public ValueTask WriteAsync(BodyRecord record)
    {
        try
        {
            if (!store.PutUnlogged(bodies, record.Key, record.Value.Span, waits: false))
            {
                return WaitAndWriteAsync(record);
            }

            Journal.Append(record);
            return ValueTask.CompletedTask;
        }
        catch (Exception failure) when (failure is RocksException or IOException or ObjectDisposedException)
        {
            return ValueTask.FromException(Failed(failure));
        }
    }

    /// <summary>Puts a record that the database has into the journal, which may not have it yet: durable as after <see cref="WriteAsync"/>.</summary>
    /// <exception cref="StorageException">The disk has failed.</exception>
    public void WriteAgain(BodyRecord record)
    {
        try
        {
            Journal.Append(record);
        }
        catch (Exception failure) when (failure is IOException or ObjectDisposedException)
        {
            throw Failed(failure);
        }
    }

    public void Recovered(ReadOnlySpan<byte> record)
    {
        BodyRecord.Read(record, out var key, out var value);

        // Put twice, it could not be deleted at once. What was deleted since comes back, and goes when it is found to be nobody's.
        using var iterator = store.Iterate(bodies, keysOnly: true);
        if (!iterator.Seek(key) || !iterator.Key.SequenceEqual(key))
        {
            store.PutUnlogged(bodies, key, value, waits: true);
        }
    }

    public void MakeDurable()
    {
        try
        {
            store.Flush(bodies);
        }
        catch (RocksException failure)
        {
            throw new IOException(Failed(failure).Message, failure);
        }
    }

    /// <summary>Waits until none waits in the database any more. Nobody may write meanwhile.</summary>
    public async ValueTask DisposeAsync()
    {
        await _behind.WaitAsync();
        _behind.Dispose();
    }

    private async ValueTask WaitAndWriteAsync(BodyRecord record)
    {
        await _behind.WaitAsync();
        try
        {
            await Task.Run(() => store.PutUnlogged(bodies, record.Key, record.Value.Span, waits: true));
            Journal.Append(record);
        }
        catch (Exception failure) when (failure is RocksException or IOException or ObjectDisposedException)
        {
            throw Failed(failure);
        }
        finally
        {
            _behind.Release();
        }
    }

    private async Task WatchAsync(EntryJournal journal) => Failed(await journal.Failed);

    private StorageException Failed(Exception failure)
    {
        if (failure is not ObjectDisposedException)
        {
            health.Fail(new StorageException(
                "The disk has failed: a write or an fsync of the journal was refused (" + failure.Message
                + "). The node stops. Repair or replace the disk, then start it again; what was acknowledged before is kept.",
                failure));
        }

        return new StorageException("The disk has failed; nothing more is written to it: " + failure.Message, failure);
    }
}
