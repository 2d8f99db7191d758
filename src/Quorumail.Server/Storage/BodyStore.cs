using System.Collections.Concurrent;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Replication;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>
/// The bodies on this disk: immutable, named by queue id, checksummed. Written by a <see cref="BodyWriter"/>, read by a
/// <see cref="BodyReader"/>, deleted only when the replicated log says so. An id must not be written twice.
/// </summary>
public sealed class BodyStore
{
    /// <summary>Damaged bodies that are remembered: they wait for their messages' next attempts.</summary>
    private const int DamagedMax = 10_000;

    private readonly ConcurrentDictionary<QueueId, bool> _damaged = new();
    private readonly Database _database;
    private readonly BodyReplicas? _replicas;

    public BodyStore(Database database)
        : this(database, null)
    {
    }

    /// <param name="database">This disk.</param>
    /// <param name="replicas">Where else bodies go; null where there is this disk alone.</param>
    internal BodyStore(Database database, BodyReplicas? replicas)
    {
        ArgumentNullException.ThrowIfNull(database);
        _database = database;
        _replicas = replicas;
    }

    /// <summary>Begins a body. Memory is bounded: up to 64 KiB is gathered, and as much again may be on its way to the disk.</summary>
    /// <param name="id">New; see <c>MailQueue.NewId</c>.</param>
    /// <param name="sizeHint">Octets expected (SIZE= of MAIL), 0 if unknown; decides how large the first buffer is.</param>
    public BodyWriter Begin(QueueId id, long sizeHint = 0) => new(_database, _replicas, id, sizeHint);

    /// <summary>Opens a body for reading. A body of one chunk is read and verified whole at once.</summary>
    /// <exception cref="BodyMissingException">It is not on this disk.</exception>
    /// <exception cref="BodyCorruptException">It is not what was written.</exception>
    public ValueTask<BodyReader> OpenAsync(QueueId id, CancellationToken token)
    {
        token.ThrowIfCancellationRequested();

        // What was written lately is in memory, and the rest is one read of at most 64 KiB: not worth a thread's change.
        return ValueTask.FromResult(BodyReader.Open(_database, id));
    }

    /// <summary>
    /// Opens the body of a message that is to be delivered. One that this disk has lost, that is not the message's, or of
    /// which a reader has found a damaged piece, is brought from another disk first, if one of those that hold it gives it whole.
    /// </summary>
    /// <exception cref="BodyMissingException">It is nowhere.</exception>
    /// <exception cref="BodyCorruptException">It is nowhere whole.</exception>
    internal async ValueTask<BodyReader> OpenAsync(QueuedMessage message, CancellationToken token)
    {
        if (!_damaged.IsEmpty && _damaged.TryRemove(message.Id, out _))
        {
            // Where it fails, the reader will find the damage again.
            await FetchAsync(message, token);
        }

        try
        {
            return BodyReader.Open(_database, message.Id, message.BodyHash.Span, NoteDamage);
        }
        catch (StorageException problem) when (problem is BodyMissingException or BodyCorruptException)
        {
            if (!await FetchAsync(message, token))
            {
                throw;
            }

            return BodyReader.Open(_database, message.Id, message.BodyHash.Span, NoteDamage);
        }
    }

    /// <summary>The ids of all bodies that are on the disk, whole or begun, in order of time, as of the call.</summary>
    internal IEnumerable<QueueId> Ids()
    {
        using var iterator = _database.Store.Iterate(_database.Bodies, keysOnly: true);
        QueueId? last = null;
        for (var found = iterator.Seek([]); found; found = iterator.Next())
        {
            var id = QueueId.Read(iterator.Key);
            if (id != last)
            {
                last = id;
                yield return id;
            }
        }
    }

    /// <summary>Adds the deletion of a whole body of known size to a batch.</summary>
    internal void AddDeletion(RocksBatch batch, QueueId id, long size) =>
        AddDeletion(batch, _database.Bodies, id, BodyFormat.ChunkCount(size), withHead: true);

    /// <summary>Adds the deletion of whatever is there under the id; for a body of which nothing is known.</summary>
    internal void AddDeletion(RocksBatch batch, QueueId id)
    {
        Span<byte> prefix = stackalloc byte[QueueId.ByteLength];
        id.WriteTo(prefix);
        using var iterator = _database.Store.Iterate(_database.Bodies, keysOnly: true);
        for (var found = iterator.Seek(prefix); found && iterator.Key.StartsWith(prefix); found = iterator.Next())
        {
            batch.SingleDelete(_database.Bodies, iterator.Key);
        }
    }

    // One deletion per record costs less than a range deletion, which every later read would have to look at.
    internal static void AddDeletion(RocksBatch batch, RocksFamily bodies, QueueId id, long chunks, bool withHead)
    {
        Span<byte> key = stackalloc byte[BodyFormat.ChunkKeyLength];
        id.WriteTo(key);
        if (withHead)
        {
            batch.SingleDelete(bodies, key[..QueueId.ByteLength]);
        }

        for (var number = 0u; number < chunks; number++)
        {
            BodyFormat.WriteChunkKey(id, number, key);
            batch.SingleDelete(bodies, key);
        }
    }

    private Task<bool> FetchAsync(QueuedMessage message, CancellationToken token) =>
        _replicas?.FetchAsync(message, token) ?? Task.FromResult(false);

    private void NoteDamage(QueueId id)
    {
        if (_damaged.Count < DamagedMax)
        {
            _damaged[id] = true;
        }
    }
}
