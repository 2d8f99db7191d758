using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Limits;
using Quorumail.Server.Limits.Format;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Queue.History;
using Quorumail.Server.Smtp;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Queue;

/// <summary>
/// The mail queue of this node: database, bodies and replicated log in one. Commands are proposed here, and what they
/// made is read here. All members are safe for concurrent use but <see cref="Changes"/>, which has one reader.
/// </summary>
[SuppressMessage("Naming", "CA1711", Justification = "It is what a mail server calls its queue.")]
public sealed partial class MailQueue : IMessageQueue, IAsyncDisposable
{
    private static readonly TimeSpan BeginPause = TimeSpan.FromMilliseconds(100);
    private static readonly byte[] NodeIdKey = "node-id"u8.ToArray();

    private readonly QueueDisk _disk;
    private readonly ReplicatedQueue _state;
    private readonly IReplicatedLog _log;
    private readonly Func<ValueTask> _closeLog;
    private readonly Func<int> _incarnation;
    private readonly QueueIdSource _ids;
    private readonly Retractions _retractions;
    private readonly MailQueueOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private Task _sweeping = Task.CompletedTask;
    private BodyHolder[]? _alone;

    /// <param name="disk">The queue's from here on.</param>
    /// <param name="log">What the disk's state is the state of.</param>
    /// <param name="closeLog">Closes it.</param>
    /// <param name="nodeId">This node's name.</param>
    /// <param name="incarnation">Generation of this node's disk.</param>
    /// <param name="options">Patience.</param>
    /// <param name="time">The clock.</param>
    /// <param name="loggers">Told what the operator should know.</param>
    internal MailQueue(
        QueueDisk disk, IReplicatedLog log, Func<ValueTask> closeLog, string nodeId, Func<int> incarnation, MailQueueOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        _disk = disk;
        _state = disk.State;
        _log = log;
        _closeLog = closeLog;
        _incarnation = incarnation;
        _options = options;
        _time = time;
        NodeId = nodeId;
        _logger = loggers.CreateLogger("queue");
        _ids = new QueueIdSource(time);
        _retractions = new Retractions(disk.Database, ProposeAsync, options.ProposalTimeout, time, _logger);
        Failed = FirstFailureAsync(disk.Database.Health.Failed, log.Failed);
    }

    /// <summary>The name that this node's messages carry as their owner.</summary>
    public string NodeId { get; }

    /// <summary>The bodies on this disk.</summary>
    public BodyStore Bodies => _disk.Bodies;

    /// <summary>Whether the disk takes mail.</summary>
    public StorageHealth Health => _disk.Database.Health;

    /// <summary>Why nothing should be written below a path now, as its disk, which is the queue's, is nearly full; null if it may.</summary>
    internal string? ShortageAt(string path) => _disk.Database.ShortageAt(path);

    /// <summary>Completes, with the reason, when the disk or the log has failed: the node must stop.</summary>
    public Task<Exception> Failed { get; }

    /// <summary>Messages in the queue.</summary>
    public int Count => _state.Count;

    /// <summary>How many messages stand where.</summary>
    public QueueCounts Counts => _state.Counts;

    /// <summary>How the messages stand with copies and owners.</summary>
    public CopyCounts Copies => _state.Copies;

    /// <summary>Messages that this node delivers.</summary>
    public int OwnedCount => _state.CountOwnedBy(NodeId);

    /// <summary>The epoch of this node's present life.</summary>
    public long Epoch => _state.EpochOf(NodeId);

    /// <summary>Messages whose Enqueue did not end well and that are not yet known to be out of the queue.</summary>
    public int RetractionCount => _retractions.Count;

    /// <summary>Syncs of the journal so far.</summary>
    public long Syncs => _disk.Database.Journal.Size.Syncs;

    /// <summary>
    /// For delivery, one reader: first every message found at start, oldest first, then what changes. A message that
    /// changes several times between two reads comes once, as it then stands; one whose <see cref="QueueChange.Message"/>
    /// is null has left the queue and may never have been seen.
    /// </summary>
    public ChannelReader<QueueChange> Changes => _state.Feed;

    /// <summary>The limits that the same log makes.</summary>
    internal ReplicatedLimits Limits => _state.Limits;

    /// <summary>Milliseconds; the time of all schedules.</summary>
    public long ClusterTime => _log.ClusterTime;

    /// <summary>Index of the latest log entry known to be committed.</summary>
    public long CommitIndex => _log.CommitIndex;

    /// <summary>Index of the latest log entry that the queue has applied.</summary>
    public long AppliedIndex => _log.AppliedIndex;

    /// <summary>The log's current term.</summary>
    public long Term => _log.Term;

    /// <summary>Milliseconds of cluster time of the last entry that the queue has applied; 0: none since the start.</summary>
    public long AppliedAt => _state.AppliedAt;

    /// <summary>How many suspects are listed, and how many have been dropped because there were too many.</summary>
    public (int Listed, long Overflowed) SuspectCounts => _state.SuspectCounts;

    /// <summary>How many removed messages are listed.</summary>
    public int RemovalCount => _state.RemovalCount;

    /// <summary>Copies that a message needs before its 250, and how many disks are a majority; both 1 where this disk stands alone.</summary>
    public (int MinCopies, int Majority) Durability =>
        _state.Members is { } members ? (members.MinCopies, (members.Nodes.Count / 2) + 1) : (1, 1);

    /// <summary>Whether this node drains: it takes no mail, and its messages go to the others.</summary>
    public bool IsDraining => _state.IsDraining;

    /// <summary>Whether proposals can commit now.</summary>
    public bool IsReady => _log.IsReady && !Failed.IsCompleted;

    /// <summary>
    /// Opens the data directory of a server that stands alone, reads the queue back, starts the log and waits until it has caught
    /// up; then begins this node's new life in the log.
    /// </summary>
    /// <exception cref="StorageException">The data directory can't be used; the message says why and what to do.</exception>
    public static async Task<MailQueue> OpenAsync(
        MailQueueOptions options, TimeProvider time, ILoggerFactory loggers, CancellationToken token)
    {
        ArgumentNullException.ThrowIfNull(options);
        var disk = await QueueDisk.OpenAsync(options, null, time, loggers);
        ClusterNode? log = null;
        try
        {
            var nodeId = ReadOrWriteNodeId(disk.Database, options.NodeId, "node-" + disk.Database.DiskId[^12..]);
            log = new ClusterNode(
                new ClusterNodeOptions
                {
                    NodeId = nodeId,
                    Directory = Path.Combine(disk.Database.Path, "log"),
                },
                disk.State, time, loggers.CreateLogger("log"), disk.Database.Journal);
            await log.StartAsync(token);
        }
        catch
        {
            if (log is not null)
            {
                await log.DisposeAsync();
            }

            await disk.DisposeAsync();
            throw;
        }

        var queue = new MailQueue(disk, log, CloseAsync, log.NodeId, () => log.Incarnation, options, time, loggers);
        try
        {
            await queue.BeginAsync(null, token);
            return queue;
        }
        catch
        {
            await queue.DisposeAsync();
            throw;
        }

        async ValueTask CloseAsync()
        {
            await log.CheckpointAsync();
            await log.DisposeAsync();
        }
    }

    /// <summary>A new queue id; this process makes none twice.</summary>
    public QueueId NewId() => _ids.Next(_state.IdFloor);

    /// <summary>Proposes a command and waits until it is committed and applied here.</summary>
    /// <param name="command">What is to change.</param>
    /// <param name="token">Ends the waiting, which makes the outcome <see cref="ProposalOutcome.Unknown"/>, not the proposal.</param>
    public async ValueTask<QueueProposal> ProposeAsync(QueueCommand command, CancellationToken token)
    {
        var bytes = QueueEncoding.Encode(command);

        // No client waits for an attempt's start or end, and the next message is often a moment away.
        var result = command is AttemptStartedCommand or AttemptEndedCommand
            ? await _log.ProposeWithOthersAsync(bytes, token)
            : await _log.ProposeAsync(bytes, token);
        if (result.Outcome != ProposalOutcome.Applied)
        {
            return new QueueProposal(result.Outcome, default, result.Reason);
        }

        return QueueAnswer.Decode(result.Value.Span) is { } answer
            ? new QueueProposal(ProposalOutcome.Applied, answer.Status) { Matched = answer.Matched, HasMore = answer.HasMore }
            : new QueueProposal(ProposalOutcome.Unknown, default, "the log has no answer of the queue any more");
    }

    /// <summary>Proposes a command of the limits; null if nobody knows whether it was applied, or it was not.</summary>
    internal async ValueTask<LimitAnswer?> ProposeAsync(LimitCommand command, CancellationToken token)
    {
        var result = await _log.ProposeAsync(ReplicatedLimits.Encode(command), token);
        return result.Outcome == ProposalOutcome.Applied ? LimitEncoding.DecodeAnswer(result.Value.Span) : null;
    }

    /// <summary>
    /// Takes responsibility for a message whose body is complete. Unless the result <see cref="QueueProposal.IsAccepted"/>,
    /// the client must be answered 451: the message is then taken back in the background, until that is committed. If it is
    /// <see cref="QueueProposal.IsLeftOpen"/> the client must not be answered at all.
    /// </summary>
    /// <param name="id">From <see cref="NewId"/>; proposed once only.</param>
    /// <param name="envelope">At least one recipient.</param>
    /// <param name="body">From the body's writer.</param>
    /// <param name="traits">What was seen in the message.</param>
    /// <param name="token">Bounds the waiting (10 s by default, DESIGN 6).</param>
    public async ValueTask<QueueProposal> EnqueueAsync(
        QueueId id, Envelope envelope, BodyReceipt body, BodyTraits traits, CancellationToken token)
    {
        if (!_retractions.HasRoom)
        {
            await _retractions.AddAsync(id, withdraws: false);
            return new QueueProposal(ProposalOutcome.Refused, default, "too many messages wait to be taken back");
        }

        var proposal = await ProposeAsync(
            ToEnqueue(id, envelope, body, traits), token);
        if (proposal.IsAccepted)
        {
            return proposal;
        }

        LogNotEnqueued(_logger, id, proposal.Outcome, proposal.Status, proposal.Reason);
        if (proposal.Status == ApplyStatus.Collision)
        {
            return proposal;
        }

        var isUnknown = proposal.Outcome == ProposalOutcome.Unknown;
        var isNoted = await _retractions.AddAsync(id, withdraws: isUnknown);
        return proposal with { IsLeftOpen = isUnknown && !isNoted };
    }

    /// <summary>Gives up a body that is complete and will not be enqueued.</summary>
    public async ValueTask AbandonAsync(QueueId id) => await _retractions.AddAsync(id, withdraws: false);

    /// <summary>Lists a message whose 250 the client may not have read: at once if the log takes it, after a restart if need be.</summary>
    /// <returns>False if this disk, which has failed, can't remember it, or too many such wait.</returns>
    public ValueTask<bool> ReportUnreadAsync(QueueId id) => _retractions.AddUnreadAsync(id);

    /// <summary>The message, if it is in the queue.</summary>
    public bool TryGet(QueueId id, [NotNullWhen(true)] out QueuedMessage? message) => _state.TryGet(id, out message);

    /// <summary>Up to <paramref name="limit"/> messages, in no particular order.</summary>
    public IReadOnlyList<QueuedMessage> Messages(int limit) => _state.Messages(limit);

    /// <summary>Messages that a selection means, after an id, oldest first: a page of a list.</summary>
    public QueuePage Select(QueueSelection selection, QueueId? after, int limit) =>
        _state.Select(selection, after, limit, ClusterTime);

    /// <summary>The domains for which messages wait, those of the most first.</summary>
    public IReadOnlyList<DomainCounts> CountsByDomain() => _state.CountsByDomain();

    /// <summary>Whether a member is known to be down.</summary>
    public bool IsDown(string node) => _state.Members?.Find(node) is { IsDown: true };

    /// <summary>Destinations and senders for which nothing may begin.</summary>
    public IReadOnlyList<Suspension> Suspensions => _state.Suspensions;

    /// <summary>Up to <paramref name="limit"/> messages that operators have removed, whose sequence number is below <paramref name="before"/>, latest first.</summary>
    public IReadOnlyList<Removal> Removals(long before, int limit) => _state.Removals(before, limit);

    /// <summary>What this node has noted of a message, also when it has left the queue; null if it notes nothing.</summary>
    /// <exception cref="IOException">It can't be read.</exception>
    internal async ValueTask<HistoryAnswer?> HistoryOfAsync(QueueId id)
    {
        if (_disk.History is not { } history)
        {
            return null;
        }

        try
        {
            // What has been applied by now is told, too.
            await _disk.Database.Commits.WriteAsync(_state.NewWrite(needsSync: false));
        }
        catch (StorageException)
        {
            // The disk of the mail has failed, which is told elsewhere; what was noted before may be read still.
        }

        return new HistoryAnswer(history.Read(id), history.Failure);
    }

    /// <summary>Up to <paramref name="limit"/> suspects, oldest first.</summary>
    public IReadOnlyList<Suspect> Suspects(int limit) => _state.Suspects(limit);

    /// <summary>Up to <paramref name="limit"/> suspects whose sequence number is above <paramref name="after"/>, oldest first: a page of a list.</summary>
    public IReadOnlyList<ListedSuspect> ListedSuspects(long after, int limit) => _state.ListedSuspects(after, limit);

    /// <summary>
    /// Begins this node's new life in the log, so that nothing of an earlier one applies any more, and fills
    /// <see cref="Changes"/>. Once; a cluster without a majority is waited for.
    /// </summary>
    /// <param name="life">Number of this life; null for a node that stands alone.</param>
    /// <param name="token">Ends the waiting.</param>
    /// <exception cref="StorageException">The log does not take commands.</exception>
    internal async Task BeginAsync(long? life, CancellationToken token)
    {
        QueueCommand beginning = life is { } number ? new NodeUpCommand(NodeId, _incarnation(), number) : new OwnerRestartedCommand(NodeId);
        while (true)
        {
            using var timeout = new CancellationTokenSource(_options.ProposalTimeout, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, token);
            var begun = await ProposeAsync(beginning, either.Token);
            if (begun.IsAccepted || (life is not null && _state.Members?.Find(NodeId)?.Life == life))
            {
                break;
            }

            // Proposed twice, the second only raises the epoch once more.
            token.ThrowIfCancellationRequested();
            if (Failed.IsCompleted || (begun.Outcome == ProposalOutcome.Refused && life is null))
            {
                throw new StorageException($"The log in {_disk.Database.Path} does not take commands: {begun.Reason}");
            }

            if (life is not null)
            {
                // No majority, or the members are only just being told.
                await Task.Delay(BeginPause, _time, token);
            }
        }

        _retractions.Start();
        _state.Publish();
        _sweeping = Task.Run(() => SweepAsync(_stop.Token), CancellationToken.None);
    }

    /// <summary>The command that takes responsibility for a body that is kept.</summary>
    internal EnqueueCommand ToEnqueue(QueueId id, Envelope envelope, in BodyReceipt body, BodyTraits traits) =>
        new(id, envelope, body.Size, traits, body.Hash, body.Holders ?? HolderAlone(), NodeId) { Body = body.Carried };

    /// <summary>This disk as the one holder.</summary>
    internal IReadOnlyList<BodyHolder> HolderAlone() => _alone ??= [new BodyHolder(NodeId, _incarnation())];

    /// <summary>Stops proposing, writes what is pending, and closes log and database. Readers of bodies must have finished.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _sweeping;
        await _retractions.DisposeAsync();
        await _closeLog();
        await _disk.DisposeAsync();
        _stop.Dispose();
    }

    private static async Task<Exception> FirstFailureAsync(Task<Exception> disk, Task<Exception> log) =>
        await await Task.WhenAny(disk, log);

    /// <summary>The name that the data directory was made with; it can't be changed, for its messages carry it.</summary>
    /// <param name="database">The disk's.</param>
    /// <param name="wanted">The name that it must have; null: any.</param>
    /// <param name="otherwise">The name to make it with if nothing is wanted.</param>
    /// <exception cref="StorageException">It has another than the wanted.</exception>
    internal static string ReadOrWriteNodeId(Database database, string? wanted, string otherwise)
    {
        string found;
        try
        {
            found = database.Store.Get(database.Meta, NodeIdKey) is { } stored ? Encoding.UTF8.GetString(stored) : WriteNodeId(database, wanted ?? otherwise);
        }
        catch (RocksException failure)
        {
            throw new StorageException($"The database in {database.Path} can't be used: {failure.Message}. Check the disk.", failure);
        }

        return wanted is null || wanted == found
            ? found
            : throw new StorageException(
                $"The data directory {database.Path} belongs to node {found}, not to {wanted}: its messages are {found}'s. "
                + $"Say [cluster] node_id = \"{found}\" (SMTP_CLUSTER_NODE_ID), or start with another data directory.");
    }

    private static string WriteNodeId(Database database, string made)
    {
        using var batch = new RocksBatch();
        batch.Put(database.Meta, NodeIdKey, Encoding.UTF8.GetBytes(made));
        database.Store.Write(batch, sync: true);
        return made;
    }

    /// <summary>Gives up every body, of those found at start, that belongs to no message: its life ended between body and Enqueue.</summary>
    private async Task SweepAsync(CancellationToken token)
    {
        var found = _disk.Found;
        var count = 0;
        try
        {
            for (var any = _disk.HasFound; any && !token.IsCancellationRequested; any = found.MoveNext())
            {
                if (!_state.TryGet(found.Current, out _) && !_retractions.Contains(found.Current))
                {
                    // Whichever commits first wins, Apply deletes the body, and what fails is found again at the next start.
                    await ProposeAsync(new AbandonCommand(found.Current), token);
                    count++;
                }
            }
        }
        catch (RocksException error)
        {
            LogSweepFailed(_logger, error);
        }
        finally
        {
            found.Dispose();
        }

        if (count > 0)
        {
            LogSwept(_logger, count);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "message {Id} was not enqueued: {Outcome} {Status} {Reason}")]
    private static partial void LogNotEnqueued(
        ILogger logger, QueueId id, ProposalOutcome outcome, ApplyStatus status, string? reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} bodies without a message were given up")]
    private static partial void LogSwept(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "bodies without a message can't be looked for")]
    private static partial void LogSweepFailed(ILogger logger, Exception error);
}
