using System.Buffers.Binary;
using System.Text;
using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Limits;
using Quorumail.Server.Limits.Format;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Queue;

/// <summary>
/// The queue's records in the database. Keys are generation (4 bytes, big-endian), kind (1 byte) and name; one key of
/// another family tells which generation holds and up to which log entry, so that a snapshot is taken over by one write.
/// </summary>
internal sealed class QueueRecordStore
{
    internal const byte MessageKind = 5;
    internal const int PrefixLength = 5;

    private const byte MarksKind = 1;
    private const byte OwnerEpochKind = 2;
    private const byte TombstoneKind = 3;
    private const byte SuspectKind = 4;
    private const byte FinishedKind = 6;
    private const byte MembersKind = 7;
    private const byte PlacementKind = 8;
    private const byte SuspensionKind = 9;
    private const byte RemovalKind = 10;
    private const byte LimitsKind = 11;
    private const byte GrantsKind = 12;
    private const int HeadLength = 1 + sizeof(uint) + sizeof(long);
    private const byte HeadVersion = 1;

    private static readonly byte[] HeadKey = "queue-head"u8.ToArray();
    private static readonly byte[] UncheckedKey = "bodies-unchecked"u8.ToArray();

    private readonly Database _database;
    private readonly BodyStore _bodies;

    public QueueRecordStore(Database database, BodyStore bodies)
    {
        _database = database;
        _bodies = bodies;
    }

    /// <summary>The generation that holds.</summary>
    public uint Generation { get; set; }

    /// <summary>Reads the whole queue, and the limits.</summary>
    /// <returns>The states, and the index of the last log entry in them.</returns>
    /// <exception cref="StorageException">Damaged, or a later version wrote it.</exception>
    public (QueueState State, LimitState Limits, long AppliedIndex) Load()
    {
        try
        {
            var (generation, applied) = ReadHead();
            Generation = generation;
            DropOtherGenerations();
            var marks = Read(MarksKind, QueueEncoding.DecodeMarks).Select(m => (QueueMarks?)m).SingleOrDefault();
            var state = QueueState.Restore(new QueueRecords(
                marks ?? QueueMarks.Initial,
                Read(OwnerEpochKind, QueueEncoding.DecodeOwnerEpoch),
                Read(TombstoneKind, QueueEncoding.DecodeTombstone),
                Read(SuspectKind, QueueEncoding.DecodeSuspect),
                Read(MessageKind, QueueEncoding.DecodeMessage))
            {
                Finished = Read(FinishedKind, QueueEncoding.DecodeFinished).OrderBy(f => f.Sequence),
                Members = Read(MembersKind, QueueEncoding.DecodeMembers).SingleOrDefault(),
                Suspensions = Read(SuspensionKind, QueueEncoding.DecodeSuspension),
                Removals = Read(RemovalKind, QueueEncoding.DecodeRemoval),
                Placements = Read(PlacementKind, QueueEncoding.DecodePlacement),
            });
            var limits = Read(LimitsKind, LimitEncoding.DecodeRecords).SingleOrDefault() ?? new LimitRecords(1, [], [], []);
            return (state, LimitState.Restore(limits with { Grants = [.. Read(GrantsKind, LimitEncoding.DecodeRecords).SelectMany(key => key.Grants)] }), applied);
        }
        catch (Exception error) when (error is RocksException or InvalidDataException or NewerFormatException)
        {
            throw new StorageException(
                $"The queue in {_database.Path} can't be read: {error.Message} The server does not start, because "
                + "acknowledged mail may be missing. Restore the data directory whole.", error);
        }
    }

    /// <summary>
    /// Writes bodies that came in the log, unlogged: the log keeps them until <see cref="BodyJournal.MakeDurable"/>. To be
    /// done before their messages' records are written.
    /// </summary>
    /// <param name="ids">Of bodies among the carried.</param>
    /// <param name="mayExist">Whether they may have been written in an earlier life; written twice they could not be deleted at once.</param>
    /// <exception cref="RocksException">The disk has failed.</exception>
    public void WriteBodies(IEnumerable<QueueId> ids, bool mayExist)
    {
        foreach (var id in ids)
        {
            if (_database.Carried.TryGet(id, out var body))
            {
                WriteBody(id, body.Span, mayExist);
            }
        }
    }

    /// <summary>Writes a body that came in the log, unlogged.</summary>
    /// <exception cref="RocksException">The disk has failed.</exception>
    public void WriteBody(QueueId id, ReadOnlySpan<byte> body, bool mayExist)
    {
        Span<byte> key = stackalloc byte[QueueId.ByteLength];
        id.WriteTo(key);
        if (mayExist)
        {
            using var iterator = _database.Store.Iterate(_database.Bodies, keysOnly: true);
            if (iterator.Seek(key) && iterator.Key.SequenceEqual(key))
            {
                return;
            }
        }

        _database.Store.PutUnlogged(_database.Bodies, key, body, waits: true);
    }

    /// <summary>Adds changes and the index that they bring the records to.</summary>
    public void Write(RocksBatch batch, PendingChanges changes, PendingLimits limits, long appliedIndex)
    {
        var family = _database.Queue;
        Span<byte> key = stackalloc byte[PrefixLength + QueueId.ByteLength];
        foreach (var (id, record) in changes.Messages)
        {
            WritePrefix(Generation, MessageKind, key);
            id.WriteTo(key[PrefixLength..]);
            if (record.Message is { } message)
            {
                batch.Put(family, key, QueueEncoding.Encode(message));
            }
            else
            {
                batch.Delete(family, key);
            }
        }

        WriteLists(batch, changes, key);
        WriteMembers(batch, changes, key);
        WriteAdministration(batch, changes, key);
        WriteLimits(batch, limits, Generation);
        if (changes.Marks is { } marks)
        {
            WritePrefix(Generation, MarksKind, key);
            batch.Put(family, key[..PrefixLength], QueueEncoding.Encode(marks));
        }

        foreach (var (id, size) in changes.Bodies)
        {
            if (size >= 0)
            {
                _bodies.AddDeletion(batch, id, size);
            }
            else
            {
                _bodies.AddDeletion(batch, id);
            }
        }

        WriteHead(batch, Generation, appliedIndex);
    }

    private void WriteLists(RocksBatch batch, PendingChanges changes, Span<byte> key)
    {
        var family = _database.Queue;
        foreach (var suspect in changes.SuspectsListed)
        {
            batch.Put(family, SequenceKey(Generation, SuspectKind, suspect.Sequence, key), QueueEncoding.Encode(suspect));
        }

        foreach (var sequence in changes.SuspectsDropped)
        {
            batch.Delete(family, SequenceKey(Generation, SuspectKind, sequence, key));
        }

        foreach (var tombstone in changes.TombstonesSet)
        {
            batch.Put(family, SequenceKey(Generation, TombstoneKind, tombstone.Sequence, key), QueueEncoding.Encode(tombstone));
        }

        foreach (var sequence in changes.TombstonesForgotten)
        {
            batch.Delete(family, SequenceKey(Generation, TombstoneKind, sequence, key));
        }

        foreach (var finished in changes.Finished.Values)
        {
            batch.Put(family, SequenceKey(Generation, FinishedKind, finished.Slot, key), QueueEncoding.Encode(finished));
        }
    }

    private void WriteMembers(RocksBatch batch, PendingChanges changes, Span<byte> key)
    {
        var family = _database.Queue;
        foreach (var ownerEpoch in changes.OwnerEpochs)
        {
            PutOwnerEpoch(batch, Generation, ownerEpoch);
        }

        foreach (var placement in changes.Placements.Values)
        {
            batch.Put(family, SequenceKey(Generation, PlacementKind, placement.Epoch, key), QueueEncoding.Encode(placement));
        }

        foreach (var epoch in changes.PlacementsDropped)
        {
            batch.Delete(family, SequenceKey(Generation, PlacementKind, epoch, key));
        }

        if (changes.Members is { } members)
        {
            WritePrefix(Generation, MembersKind, key);
            batch.Put(family, key[..PrefixLength], QueueEncoding.Encode(members));
        }
    }

    private void WriteAdministration(RocksBatch batch, PendingChanges changes, Span<byte> key)
    {
        var family = _database.Queue;
        foreach (var ((scope, name), suspension) in changes.Suspensions)
        {
            var named = NamedKey(Generation, SuspensionKind, (char)scope + name);
            if (suspension is null)
            {
                batch.Delete(family, named);
            }
            else
            {
                batch.Put(family, named, QueueEncoding.Encode(suspension));
            }
        }

        foreach (var removal in changes.Removals)
        {
            batch.Put(family, SequenceKey(Generation, RemovalKind, removal.Sequence, key), QueueEncoding.Encode(removal));
        }

        foreach (var sequence in changes.RemovalsDropped)
        {
            batch.Delete(family, SequenceKey(Generation, RemovalKind, sequence, key));
        }
    }

    private void WriteLimits(RocksBatch batch, PendingLimits limits, uint generation)
    {
        if (limits.Head is { } head)
        {
            batch.Put(_database.Queue, NamedKey(generation, LimitsKind, ""), LimitEncoding.Encode(head));
        }

        foreach (var (limit, key, grants) in limits.Grants)
        {
            var named = NamedKey(generation, GrantsKind, $"{limit}\0{key}");
            if (grants.Count == 0)
            {
                batch.Delete(_database.Queue, named);
            }
            else
            {
                batch.Put(_database.Queue, named, LimitEncoding.Encode(new LimitRecords(0, [], [], grants)));
            }
        }
    }

    /// <summary>Adds one record of a snapshot to the generation after the present one.</summary>
    public void WriteNext(RocksBatch batch, QueueSnapshotRecord record)
    {
        var next = Generation + 1;
        Span<byte> key = stackalloc byte[PrefixLength + QueueId.ByteLength];
        switch (record.Value)
        {
            case QueuedMessage message:
                WritePrefix(next, MessageKind, key);
                message.Id.WriteTo(key[PrefixLength..]);
                batch.Put(_database.Queue, key, QueueEncoding.Encode(message));
                break;
            case ListedSuspect suspect:
                key = SequenceKey(next, SuspectKind, suspect.Sequence, key);
                batch.Put(_database.Queue, key, QueueEncoding.Encode(suspect));
                break;
            case Tombstone tombstone:
                key = SequenceKey(next, TombstoneKind, tombstone.Sequence, key);
                batch.Put(_database.Queue, key, QueueEncoding.Encode(tombstone));
                break;
            case FinishedId finished:
                key = SequenceKey(next, FinishedKind, finished.Slot, key);
                batch.Put(_database.Queue, key, QueueEncoding.Encode(finished));
                break;
            case KeyValuePair<string, long> ownerEpoch:
                PutOwnerEpoch(batch, next, ownerEpoch);
                break;
            case Suspension suspension:
                batch.Put(
                    _database.Queue, NamedKey(next, SuspensionKind, (char)suspension.Scope + suspension.Name), QueueEncoding.Encode(suspension));
                break;
            case Removal removal:
                key = SequenceKey(next, RemovalKind, removal.Sequence, key);
                batch.Put(_database.Queue, key, QueueEncoding.Encode(removal));
                break;
            case QueueMembers members:
                WritePrefix(next, MembersKind, key);
                batch.Put(_database.Queue, key[..PrefixLength], QueueEncoding.Encode(members));
                break;
            case LimitRecords limits:
                WriteLimits(batch, Whole(limits), next);
                break;
            case QueueMarks marks:
                WritePrefix(next, MarksKind, key);
                batch.Put(_database.Queue, key[..PrefixLength], QueueEncoding.Encode(marks));
                break;
        }
    }

    /// <summary>Adds the change to the next generation, and the end of the present one.</summary>
    public void SwitchToNext(RocksBatch batch, long appliedIndex)
    {
        DropGeneration(batch, Generation);
        Generation++;
        WriteHead(batch, Generation, appliedIndex);
        batch.Put(_database.Meta, UncheckedKey, []);
    }

    /// <summary>Whether a generation came with a snapshot and nobody has looked yet which bodies this disk lacks.</summary>
    public bool IsUnchecked() => _database.Store.Get(_database.Meta, UncheckedKey) is not null;

    /// <summary>Adds that it has been looked.</summary>
    public void PutChecked(RocksBatch batch) => batch.Delete(_database.Meta, UncheckedKey);

    /// <summary>Adds the end of whatever was written to the next generation.</summary>
    public void DropNext(RocksBatch batch) => DropGeneration(batch, Generation + 1);

    private static PendingLimits Whole(LimitRecords limits) => new(
        limits with { Grants = [] },
        [.. limits.Grants.GroupBy(grant => (grant.Limit, grant.Key)).Select(key => (key.Key.Limit, key.Key.Key, (IReadOnlyList<LimitGrant>)[.. key]))]);

    private static void WritePrefix(uint generation, byte kind, Span<byte> key)
    {
        BinaryPrimitives.WriteUInt32BigEndian(key, generation);
        key[sizeof(uint)] = kind;
    }

    private static Span<byte> SequenceKey(uint generation, byte kind, long sequence, Span<byte> key)
    {
        WritePrefix(generation, kind, key);
        BinaryPrimitives.WriteInt64BigEndian(key[PrefixLength..], sequence);
        return key[..(PrefixLength + sizeof(long))];
    }

    private void PutOwnerEpoch(RocksBatch batch, uint generation, KeyValuePair<string, long> ownerEpoch) =>
        batch.Put(_database.Queue, NamedKey(generation, OwnerEpochKind, ownerEpoch.Key), QueueEncoding.Encode(ownerEpoch));

    private static byte[] NamedKey(uint generation, byte kind, string name)
    {
        var key = new byte[PrefixLength + Encoding.UTF8.GetByteCount(name)];
        WritePrefix(generation, kind, key);
        Encoding.UTF8.GetBytes(name, key.AsSpan(PrefixLength));
        return key;
    }

    private void WriteHead(RocksBatch batch, uint generation, long appliedIndex)
    {
        Span<byte> head = stackalloc byte[HeadLength];
        head[0] = HeadVersion;
        BinaryPrimitives.WriteUInt32BigEndian(head[1..], generation);
        BinaryPrimitives.WriteInt64BigEndian(head[5..], appliedIndex);
        batch.Put(_database.Meta, HeadKey, head);
    }

    private (uint Generation, long AppliedIndex) ReadHead()
    {
        var head = _database.Store.Get(_database.Meta, HeadKey);
        return head switch
        {
            null => (0, 0),
            { Length: HeadLength } when head[0] == HeadVersion => (
                BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(1)), BinaryPrimitives.ReadInt64BigEndian(head.AsSpan(5))),
            { Length: > 0 } when head[0] > HeadVersion => throw new NewerFormatException(head[0], HeadVersion),
            _ => throw new InvalidDataException("The head of the queue's records is damaged."),
        };
    }

    private IEnumerable<T> Read<T>(byte kind, Decoder<T> decode)
    {
        var prefix = new byte[PrefixLength];
        WritePrefix(Generation, kind, prefix);
        using var iterator = _database.Store.Iterate(_database.Queue);
        for (var found = iterator.Seek(prefix); found && iterator.Key.StartsWith(prefix); found = iterator.Next())
        {
            yield return decode(iterator.Value);
        }
    }

    private delegate T Decoder<out T>(ReadOnlySpan<byte> bytes);

    // A crash while a snapshot was loaded leaves a generation that never held.
    private void DropOtherGenerations()
    {
        Span<byte> after = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(after, Generation + 1);
        using var iterator = _database.Store.Iterate(_database.Queue, keysOnly: true);
        var isStale = iterator.Seek([]) && BinaryPrimitives.ReadUInt32BigEndian(iterator.Key) < Generation;
        if (isStale || iterator.Seek(after))
        {
            using var batch = new RocksBatch();
            if (Generation > 0)
            {
                batch.DeleteRange(_database.Queue, [0, 0, 0, 0], GenerationKey(Generation));
            }

            batch.DeleteRange(_database.Queue, after, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
            _database.Store.Write(batch, sync: false);
        }
    }

    private void DropGeneration(RocksBatch batch, uint generation) =>
        batch.DeleteRange(_database.Queue, GenerationKey(generation), GenerationKey(generation + 1));

    private static byte[] GenerationKey(uint generation)
    {
        var key = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(key, generation);
        return key;
    }
}
