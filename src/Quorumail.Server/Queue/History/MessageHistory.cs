using System.Buffers.Binary;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Queue.History;

/// <summary>
/// What has become of messages, also of those that have left the queue: a log of this node's own, bounded by size and age,
/// which no mail depends on. It has a database of its own, whose oldest files go as a whole when there are too many; if that
/// one is damaged it is begun anew, and if it can't be written nothing else stops.
/// </summary>
/// <remarks>
/// A key is the message's id (<see cref="QueueId.ByteLength"/>), the log's index (8 bytes, big-endian) and a place in that entry (4): what is applied
/// again after a crash is written again under the same key.
/// </remarks>
internal sealed partial class MessageHistory : IDisposable
{
    /// <summary>Events of one message that are told.</summary>
    public const int EventsMax = 1000;

    private const int KeyLength = QueueId.ByteLength + sizeof(long) + sizeof(int);

    private readonly string _path;
    private readonly ILogger _log;
    private readonly RocksBatch _batch = new();
    private RocksStore? _store;
    private volatile string? _failure;

    private MessageHistory(string path, ILogger log)
    {
        _path = path;
        _log = log;
    }

    /// <summary>Why nothing is noted any more; null as long as all is well.</summary>
    public string? Failure => _failure;

    /// <summary>Opens it; if it is damaged, or can't be used, that is said and not thrown.</summary>
    /// <param name="path">A directory of its own, made if missing.</param>
    /// <param name="sizeMax">Octets on the disk, at least 16 MiB.</param>
    /// <param name="keep">How long an event is kept at most.</param>
    /// <param name="log">Told what is the matter with it.</param>
    public static MessageHistory Open(string path, long sizeMax, TimeSpan keep, ILogger log)
    {
        var history = new MessageHistory(path, log);
        try
        {
            try
            {
                history._store = OpenStore(path, sizeMax, keep);
            }
            catch (RocksException damaged) when (damaged.IsCorruption)
            {
                LogBegunAnew(log, path, damaged.Message);
                Directory.Delete(path, recursive: true);
                history._store = OpenStore(path, sizeMax, keep);
            }
        }
        catch (Exception unusable) when (unusable is RocksException or IOException or UnauthorizedAccessException)
        {
            history.Fail(unusable.Message);
        }

        return history;
    }

    /// <summary>Notes events. Called by one thread at a time; does not throw.</summary>
    public void Write(List<HistoryNote> notes)
    {
        if (notes.Count == 0 || _failure is not null || _store is not { } store)
        {
            return;
        }

        var family = store.Family("default");
        Span<byte> key = stackalloc byte[KeyLength];
        foreach (var note in notes)
        {
            var noted = note.ToEvent();
            noted.Id.WriteTo(key);
            BinaryPrimitives.WriteInt64BigEndian(key[QueueId.ByteLength..], noted.Index);
            BinaryPrimitives.WriteInt32BigEndian(key[(QueueId.ByteLength + sizeof(long))..], noted.Place);
            _batch.Put(family, key, HistoryEncoding.Encode(noted));
        }

        try
        {
            store.Write(_batch, sync: false);
        }
        catch (RocksException refused)
        {
            Fail(refused.Message);
        }

        _batch.Clear();
    }

    /// <summary>Up to <see cref="EventsMax"/> events of a message, oldest first; none if nothing is known of it.</summary>
    /// <exception cref="IOException">It can't be read.</exception>
    public IReadOnlyList<HistoryEvent> Read(QueueId id)
    {
        if (_store is not { } store)
        {
            return [];
        }

        try
        {
            return Read(store, id);
        }
        catch (Exception unreadable) when (unreadable is RocksException or InvalidDataException or NewerFormatException)
        {
            throw new IOException($"The history in {_path} can't be read: {unreadable.Message}", unreadable);
        }
    }

    public void Dispose()
    {
        _store?.Dispose();
        _batch.Dispose();
    }

    private static List<HistoryEvent> Read(RocksStore store, QueueId id)
    {
        Span<byte> prefix = stackalloc byte[QueueId.ByteLength];
        id.WriteTo(prefix);
        List<HistoryEvent> events = [];
        using var iterator = store.Iterate(store.Family("default"));
        for (var isThere = iterator.Seek(prefix); isThere && events.Count < EventsMax; isThere = iterator.Next())
        {
            var key = iterator.Key;
            if (key.Length != KeyLength || !key.StartsWith(prefix))
            {
                break;
            }

            events.Add(HistoryEncoding.Decode(
                iterator.Value,
                id,
                BinaryPrimitives.ReadInt64BigEndian(key[QueueId.ByteLength..]),
                BinaryPrimitives.ReadInt32BigEndian(key[(QueueId.ByteLength + sizeof(long))..])));
        }

        return events;
    }

    private static RocksStore OpenStore(string path, long sizeMax, TimeSpan keep)
    {
        Directory.CreateDirectory(path);
        return RocksStore.Open(path, RocksSettings.ForHistoryDatabase(), [("default", RocksSettings.ForHistory(sizeMax, keep))]);
    }

    private void Fail(string reason)
    {
        _failure = reason;
        LogFailed(_log, _path, reason);
    }

    [LoggerMessage(1, LogLevel.Warning, "the history of messages in {Path} is damaged and begun anew: {Reason}")]
    private static partial void LogBegunAnew(ILogger log, string path, string reason);

    [LoggerMessage(2, LogLevel.Error, "the history of messages in {Path} can't be used: {Reason}. Nothing is noted there until the next start; mail is not concerned")]
    private static partial void LogFailed(ILogger log, string path, string reason);
}
