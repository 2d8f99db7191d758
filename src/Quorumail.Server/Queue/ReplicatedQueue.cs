using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Log;
using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Http;
using Quorumail.Server.Limits;
using Quorumail.Server.Logging;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Queue.History;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Queue;

/// <summary>
/// The queue as the state of the replicated log. Entries are applied in memory at once; what they changed is written
/// behind, together with the index of the last entry in it, never part of an entry. A crash in between loses nothing: the
/// log applies what comes after the stored index again.
/// </summary>
internal sealed partial class ReplicatedQueue : IReplicatedState, IAsyncDisposable
{
    /// <summary>Changes that are written without waiting for the interval: about 2 MB of records.</summary>
    private const int PendingMax = 4096;

    /// <summary>Octets of bodies that are written, or of dead ones that are deleted, without waiting: well below a write buffer, so that bodies die in it.</summary>
    private const long PendingBodyBytesMax = 4 << 20;

    private const int SnapshotBatchRecords = 1000;

    private const long OverflowsPerLine = 1000;

    private readonly Lock _gate = new();
    private readonly Database _database;
    private readonly QueueRecordStore _records;
    private readonly QueueChanges _changes = new();
    private readonly List<QueueCommand?> _commands = [];
    private readonly ILogger _mailLog;
    private readonly ILogger _log;
    private readonly ITimer _timer;
    private QueueState _state;
    private PendingChanges _pending;
    private PendingChanges? _spare;
    private long _appliedIndex;
    private long _appliedAt;
    private long _idFloor;
    private bool _isDirty;
    private bool _isWriteQueued;
    private bool _publishes;
    private int _unchecked;

    // Of the writer's thread: up to where entries are written, and up to where an earlier life may have written them.
    private readonly long _lastOfEarlierLife;
    private long _written;
    private volatile bool _isDraining;

    /// <summary>Reads the queue back from the database.</summary>
    /// <exception cref="StorageException">Damaged, or a later version wrote it.</exception>
    /// <param name="database">Where it is written.</param>
    /// <param name="bodies">The messages' bodies.</param>
    /// <param name="writeBehind">How long a change may wait to be written.</param>
    /// <param name="time">The clock.</param>
    /// <param name="loggers">Told what operators delete, and of what can't be listed any more; null: nobody is.</param>
    public ReplicatedQueue(Database database, BodyStore bodies, TimeSpan writeBehind, TimeProvider time, ILoggerFactory? loggers = null)
    {
        loggers ??= NullLoggerFactory.Instance;
        _mailLog = loggers.CreateLogger(MailLog.Category);
        _log = loggers.CreateLogger("queue");
        _database = database;
        _records = new QueueRecordStore(database, bodies);
        _pending = new PendingChanges(database.Carried);
        (_state, var limits, _appliedIndex) = _records.Load();
        Limits = new ReplicatedLimits(limits);
        _idFloor = _state.IdFloor;
        _unchecked = _records.IsUnchecked() ? 1 : 0;
        _written = _appliedIndex;
        _lastOfEarlierLife = database.Journal.LastIndex;
        _timer = time.CreateTimer(
            static queue => ((ReplicatedQueue)queue!).WriteBehind(), this, writeBehind, writeBehind);
    }

    public long AppliedIndex => Interlocked.Read(ref _appliedIndex);

    /// <summary>Milliseconds of cluster time of the last entry that was applied; 0: none since the start.</summary>
    public long AppliedAt => Interlocked.Read(ref _appliedAt);

    /// <summary>Ids must be of a later time (milliseconds).</summary>
    public long IdFloor => Interlocked.Read(ref _idFloor);

    /// <summary>
    /// What changes. When nodes come and go, many messages change hands at once: of these the feed has those that
    /// <see cref="NodeId"/> owns now or owned before.
    /// </summary>
    public QueueChangeFeed Feed { get; } = new();

    /// <summary>The limits that the same log makes.</summary>
    public ReplicatedLimits Limits { get; }

    /// <summary>Where this node notes what becomes of messages; null: nowhere.</summary>
    public MessageHistory? History { get; init; }

    /// <summary>This node; null: the feed has every message that changes hands.</summary>
    public string? NodeId { get; set; }

    /// <summary>The cluster's members as the queue knows them; null if it stands alone.</summary>
    public QueueMembers? Members
    {
        get
        {
            lock (_gate)
            {
                return _state.Members;
            }
        }
    }

    /// <summary>Whether this node is to take no mail and own no messages.</summary>
    public bool IsDraining => _isDraining;

    /// <summary>What of the queue depends on a member's disk. Looks through all messages.</summary>
    public DiskDependence DependenceOn(string node) =>
        Members is { } members ? DiskDependence.Of(AllMessages(), members, node) : default;

    /// <summary>How many messages want copies or an owner.</summary>
    public CopyCounts Copies
    {
        get
        {
            lock (_gate)
            {
                return _state.Copies;
            }
        }
    }

    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _state.Count;
            }
        }
    }

    public QueueCounts Counts
    {
        get
        {
            lock (_gate)
            {
                return _state.Counts;
            }
        }
    }

    public bool TryGet(QueueId id, [NotNullWhen(true)] out QueuedMessage? message)
    {
        lock (_gate)
        {
            return _state.TryGet(id, out message);
        }
    }

    /// <summary>Whether a message is known to have left the queue, or to have been given up.</summary>
    public bool IsOver(QueueId id)
    {
        lock (_gate)
        {
            return _state.IsOver(id);
        }
    }

    /// <summary>Up to <paramref name="limit"/> messages, in no particular order.</summary>
    public QueuedMessage[] Messages(int limit)
    {
        lock (_gate)
        {
            return [.. _state.Messages.Take(limit)];
        }
    }

    /// <summary>The destinations and senders that are suspended.</summary>
    public IReadOnlyList<Suspension> Suspensions
    {
        get
        {
            lock (_gate)
            {
                return [.. _state.Suspensions];
            }
        }
    }

    /// <summary>Up to <paramref name="limit"/> messages that operators have removed, whose sequence number is below <paramref name="before"/>, latest first.</summary>
    public Removal[] Removals(long before, int limit)
    {
        lock (_gate)
        {
            return [.. _state.Removals.TakeWhile(removal => removal.Sequence < before).TakeLast(limit).Reverse()];
        }
    }

    /// <summary>How many removed messages are listed.</summary>
    public int RemovalCount
    {
        get
        {
            lock (_gate)
            {
                return _state.RemovalCount;
            }
        }
    }

    /// <summary>How many suspects are listed, and how many have been dropped because there were too many.</summary>
    public (int Listed, long Overflowed) SuspectCounts
    {
        get
        {
            lock (_gate)
            {
                return (_state.SuspectCount, _state.Marks.SuspectsOverflowed);
            }
        }
    }

    /// <summary>Messages that a selection means, after an id, oldest first: a page of a list. Commands wait only while the messages are noted, not while they are looked through.</summary>
    public QueuePage Select(QueueSelection selection, QueueId? after, int limit, long now) =>
        QueueListing.Page(AllMessages(), selection, after, limit, now);

    /// <summary>How many messages wait for each domain, those of the most messages first. Looks through all messages.</summary>
    public IReadOnlyList<DomainCounts> CountsByDomain() => QueueListing.CountByDomain(AllMessages());

    private QueuedMessage[] AllMessages()
    {
        lock (_gate)
        {
            return [.. _state.Messages];
        }
    }

    /// <summary>The epoch of a node's present life.</summary>
    public long EpochOf(string node)
    {
        lock (_gate)
        {
            return _state.EpochOf(node);
        }
    }

    /// <summary>Number of messages that a node owns.</summary>
    public int CountOwnedBy(string node)
    {
        lock (_gate)
        {
            return _state.CountOwnedBy(node);
        }
    }

    /// <summary>Up to <paramref name="limit"/> messages after an id that have too few copies, oldest first.</summary>
    public IReadOnlyList<QueuedMessage> MessagesWantingCopies(QueueId? after, int limit)
    {
        lock (_gate)
        {
            return _state.MessagesWantingCopies(after, limit);
        }
    }

    /// <summary>
    /// Not zero if the queue came as a snapshot, so that bodies which the log carried may be missing here; another number for each.
    /// </summary>
    public int Unchecked => Volatile.Read(ref _unchecked);

    /// <summary>All messages of which a disk is to hold a copy.</summary>
    public IReadOnlyList<QueueId> IdsHeldBy(BodyHolder holder) =>
        [.. AllMessages().Where(message => message.Holders.Contains(holder)).Select(message => message.Id)];

    /// <summary>Notes that what is missing here is known to the log.</summary>
    /// <param name="number">Of <see cref="Unchecked"/>, before it was looked.</param>
    public ValueTask NoteCheckedAsync(int number) => _database.Commits.WriteAsync(new CheckedWrite(this, number));

    /// <summary>Up to <paramref name="limit"/> suspects, oldest first.</summary>
    public Suspect[] Suspects(int limit)
    {
        lock (_gate)
        {
            return [.. _state.Suspects.Take(limit).Select(listed => listed.Suspect)];
        }
    }

    /// <summary>Up to <paramref name="limit"/> suspects whose sequence number is above <paramref name="after"/>, oldest first.</summary>
    public ListedSuspect[] ListedSuspects(long after, int limit)
    {
        lock (_gate)
        {
            return [.. _state.Suspects.SkipWhile(listed => listed.Sequence <= after).Take(limit)];
        }
    }

    /// <summary>Puts every message into the feed, oldest first, and each change from now on.</summary>
    public void Publish()
    {
        lock (_gate)
        {
            _publishes = true;
            if (_state.Suspensions.Any())
            {
                Feed.PutSuspensions();
            }

            foreach (var message in _state.Messages.OrderBy(message => message.Id))
            {
                Feed.Put(message.Id, message);
            }
        }
    }

    public bool MayWait => !_database.Carried.HasRoom;

    public void Apply(
        long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers)
    {
        _commands.Clear();
        for (var i = 0; i < commands.Count; i++)
        {
            _commands.Add(ReplicatedLimits.IsCommand(commands[i].Span) ? null : QueueEncoding.DecodeCommand(commands[i].Span));
        }

        bool isDue;
        lock (_gate)
        {
            for (var i = 0; i < _commands.Count; i++)
            {
                answers[i] = ReplicatedLimits.IsCommand(commands[i].Span) ? Limits.Apply(commands[i].Span, stamp) : Apply(_commands[i], index, i, stamp);
            }

            Interlocked.Exchange(ref _appliedIndex, index);
            Interlocked.Exchange(ref _appliedAt, stamp);
            Interlocked.Exchange(ref _idFloor, _state.IdFloor);
            _isDirty = true;
            isDue = _pending.Count + Limits.PendingCount >= PendingMax || _pending.BodyBytes >= PendingBodyBytesMax || _pending.CarriedBytes >= PendingBodyBytesMax;
        }

        if (isDue)
        {
            WriteBehind();

            // A disk that is behind holds up this node, not its memory.
            _database.Carried.WaitForRoom(() => _database.Health.Failure is not null);
        }
    }

    /// <summary>Bodies that came in the log were in the database's memory, unlogged: those that are gone are put again.</summary>
    public void Recall(IReadOnlyList<ReadOnlyMemory<byte>> commands)
    {
        for (var i = 0; i < commands.Count; i++)
        {
            if (ReplicatedLimits.IsCommand(commands[i].Span) || !QueueEncoding.MayCarry(commands[i].Span))
            {
                continue;
            }

            var command = QueueEncoding.DecodeCommand(commands[i].Span);
            foreach (var enqueue in command is EnqueueCommand one ? [one] : (command as AttemptEndedCommand)?.Notices ?? [])
            {
                if (!enqueue.Body.IsEmpty && TryGet(enqueue.Id, out _))
                {
                    PutAgain(enqueue);
                }
            }
        }
    }

    private void PutAgain(EnqueueCommand enqueue)
    {
        try
        {
            _records.WriteBody(enqueue.Id, enqueue.Body.Span, mayExist: true);
        }
        catch (RocksException failure)
        {
            throw new StorageException($"The database in {_database.Path} can't be written: {failure.Message}. Check the disk.", failure);
        }
    }

    public async ValueTask<long> FlushAsync(CancellationToken token)
    {
        var write = new StateWrite(this, needsSync: true);
        await _database.Commits.WriteAsync(write);
        await Task.Run(_database.BodyJournal.MakeDurable, CancellationToken.None);
        return write.Index;
    }

    public async ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token)
    {
        QueueRecords records;
        LimitRecords? limits;
        long index;
        lock (_gate)
        {
            index = AppliedIndex;
            limits = Limits.Records;
            records = new QueueRecords(
                _state.Marks, [.. _state.OwnerEpochs], [.. _state.Tombstones], [.. _state.Suspects], [.. _state.Messages])
            {
                Finished = [.. _state.Finished],
                Members = _state.Members,
                Suspensions = [.. _state.Suspensions],
                Removals = [.. _state.Removals],
            };
        }

        // Sorted, so that equal states have equal snapshots on every node.
        records = records with
        {
            OwnerEpochs = records.OwnerEpochs.OrderBy(epoch => epoch.Key, StringComparer.Ordinal),
            Messages = records.Messages.OrderBy(message => message.Id),
        };
        await QueueSnapshot.SaveAsync(records, limits, index, destination, token);
        return index;
    }

    public async ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token)
    {
        var load = new QueueSnapshotLoad();
        try
        {
            await foreach (var record in QueueSnapshot.ReadAsync(source, token))
            {
                load.Add(record);
                if (load.Batch.Count == SnapshotBatchRecords)
                {
                    await _database.Commits.WriteAsync(new NextGenerationWrite(this, [.. load.Batch]));
                    load.Batch.Clear();
                }
            }

            await _database.Commits.WriteAsync(new NextGenerationWrite(this, load.Batch));
            await _database.Commits.WriteAsync(new GenerationSwitch(this, load.Restore(), load.Limits, index));

            // The log forgets the entries that brought them.
            await Task.Run(_database.BodyJournal.MakeDurable, CancellationToken.None);
        }
        catch (Exception error) when (error is InvalidDataException or NewerFormatException or IOException or OperationCanceledException)
        {
            await _database.Commits.WriteAsync(new NextGenerationWrite(this, null));
            throw;
        }
    }

    /// <summary>Writes what is pending, synced, so that the next start has little to apply again.</summary>
    public async ValueTask DisposeAsync()
    {
        await _timer.DisposeAsync();
        Feed.Complete();
        if (_database.Health.Failure is null)
        {
            try
            {
                await FlushAsync(CancellationToken.None);
            }
            catch (Exception failure) when (failure is StorageException or IOException)
            {
                // The disk has failed, which its health says; the next start applies again what is missing.
            }
        }
    }

    /// <summary>A write of what is pending when its turn comes.</summary>
    internal WriteRequest NewWrite(bool needsSync) => new StateWrite(this, needsSync);

    private ReadOnlyMemory<byte> Apply(QueueCommand? command, long index, int place, long stamp)
    {
        if (command is null)
        {
            return QueueAnswer.Encode(ApplyStatus.Invalid);
        }

        QueuedMessage? subject = null;
        if (SubjectOf(command) is { } id)
        {
            _state.TryGet(id, out subject);
        }

        var overflowed = _state.Marks.SuspectsOverflowed;
        var status = _state.Apply(command, stamp, _changes);
        var answer = command is AdministerCommand
            ? new QueueAnswer(status, _changes.Matched, _changes.HasMore).Encode()
            : QueueAnswer.Encode(status);
        if (!_changes.IsEmpty)
        {
            Report(stamp, overflowed);
            if (_changes.MembersChanged)
            {
                LookAtOwnNode();
            }

            _pending.Add(_changes, subject, command is not (EnqueueCommand or AttemptEndedCommand), _state);
            if (History is not null && status == ApplyStatus.Accepted)
            {
                NoteHistory(command, subject, index, place, stamp);
            }

            if (_publishes)
            {
                PublishMoves();
                if (_changes.Suspensions.Count > 0)
                {
                    Feed.PutSuspensions();
                }

                foreach (var (changed, message) in _changes.Messages)
                {
                    if (!IsOfOthers(command, subject, changed, message))
                    {
                        Feed.Put(changed, message);
                    }
                }
            }

            _changes.Clear();
        }

        return answer;
    }

    private void NoteHistory(QueueCommand command, QueuedMessage? subject, long index, int place, long stamp)
    {
        var isOver = subject is not null && !_state.TryGet(subject.Id, out _);
        if (subject is not null && command is AttemptEndedCommand ended)
        {
            _pending.History.Add(new HistoryNote(index, place, stamp, subject, ended, null, isOver));
        }
        else if (isOver)
        {
            _pending.History.Add(new HistoryNote(index, place, stamp, subject, null, null, isOver));
        }

        foreach (var removal in _changes.Removals)
        {
            _pending.History.Add(new HistoryNote(index, place, stamp, null, null, removal, IsOver: true));
        }
    }

    // Every node applies a deletion; the one that was to deliver the message tells of it, as of every end of its messages.
    private void Report(long stamp, long overflowedBefore)
    {
        for (var i = 0; i < _changes.Deleted.Count; i++)
        {
            var (message, removal) = (_changes.Deleted[i], _changes.Removals[i]);
            if (NodeId is null || string.Equals(message.Owner, NodeId, StringComparison.Ordinal))
            {
                Metrics.MessagesDeleted.Inc();
                Metrics.RecipientsDeleted.Inc(removal.Recipients);
                MailLog.Deleted(
                    _mailLog, message.Id, message.ReversePath, removal.Recipients, removal.InDoubt, TimeSpan.FromMilliseconds(stamp - message.EnqueuedAt),
                    removal.Reason.Length > 0 ? $"deleted: {removal.Reason}" : "deleted");
            }
        }

        // The first, and then one line for many.
        var overflowed = _state.Marks.SuspectsOverflowed;
        if (overflowed / OverflowsPerLine > overflowedBefore / OverflowsPerLine || (overflowedBefore == 0 && overflowed > 0))
        {
            LogSuspectsOverflow(_log, overflowed);
        }
    }

    // Who is no member any more takes no mail either.
    private void LookAtOwnNode() =>
        _isDraining = NodeId is { } self && _state.Members is { } members && members.Find(self) is not { IsDraining: false };

    private void PublishMoves()
    {
        foreach (var (message, from) in _changes.Moved)
        {
            if (NodeId is not { } self || string.Equals(message.Owner, self, StringComparison.Ordinal)
                || string.Equals(from, self, StringComparison.Ordinal))
            {
                Feed.Put(message.Id, message);
            }
        }
    }

    // Whether a change is known to concern a message that was another node's, and is: nobody here has to look at it.
    private bool IsOfOthers(QueueCommand command, QueuedMessage? subject, QueueId id, QueuedMessage? message) =>
        NodeId is { } self && (message is null || !string.Equals(message.Owner, self, StringComparison.Ordinal))
        && (subject is { } before && before.Id == id ? !string.Equals(before.Owner, self, StringComparison.Ordinal) : command is EnqueueCommand);

    private static QueueId? SubjectOf(QueueCommand command) => command switch
    {
        AbandonCommand { Id: var id } => id,
        WithdrawCommand { Id: var id } => id,
        AttemptStartedCommand { Id: var id } => id,
        AttemptEndedCommand { Id: var id } => id,
        AttemptGivenUpCommand { Id: var id } => id,
        _ => null,
    };

    [LoggerMessage(Level = LogLevel.Warning, Message = "the list of suspects is full: {Count} that may have been delivered twice are listed no more, the oldest; queue suspects shows the rest")]
    private static partial void LogSuspectsOverflow(ILogger logger, long count);
}
