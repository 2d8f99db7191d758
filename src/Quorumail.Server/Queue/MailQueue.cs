using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue.Format;
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
    private const int Incarnation = 1;

    private static readonly byte[] NodeIdKey = "node-id"u8.ToArray();

    private readonly Database _database;
    private readonly ReplicatedQueue _state;
    private readonly ClusterNode _log;
    private readonly QueueIdSource _ids;
    private readonly Retractions _retractions;
    private readonly ILogger _logger;
    private readonly BodyHolder[] _holders;
    private readonly CancellationTokenSource _stop = new();
    private Task _sweeping = Task.CompletedTask;

    private MailQueue(
        Database database, BodyStore bodies, ReplicatedQueue state, ClusterNode log, string nodeId,
        MailQueueOptions options, TimeProvider time, ILogger logger)
    {
        _database = database;
        Bodies = bodies;
        _state = state;
        _log = log;
        NodeId = nodeId;
        _logger = logger;
        _ids = new QueueIdSource(time);
        _holders = [new BodyHolder(nodeId, Incarnation)];
        _retractions = new Retractions(database, ProposeAsync, options.ProposalTimeout, time, logger);
        Failed = FirstFailureAsync(database.Health.Failed, log.Failed);
    }

    /// <summary>The name that this node's messages carry as their owner.</summary>
    public string NodeId { get; }

    /// <summary>Disks that hold what is stored in <see cref="Bodies"/>.</summary>
    public IReadOnlyList<BodyHolder> Holders => _holders;

    /// <summary>The bodies on this disk.</summary>
    public BodyStore Bodies { get; }

    /// <summary>Whether the disk takes mail.</summary>
    public StorageHealth Health => _database.Health;

    /// <summary>Completes, with the reason, when the disk or the log has failed: the node must stop.</summary>
    public Task<Exception> Failed { get; }

    /// <summary>Messages in the queue.</summary>
    public int Count => _state.Count;

    /// <summary>How many messages stand where.</summary>
    public QueueCounts Counts => _state.Counts;

    /// <summary>Messages whose Enqueue did not end well and that are not yet known to be out of the queue.</summary>
    public int RetractionCount => _retractions.Count;

    /// <summary>Syncs of the journal so far.</summary>
    public long Syncs => _database.Journal.Size.Syncs;

    /// <summary>Whether the log has this member alone: its entries are durable only after what was written before them.</summary>
    public bool IsAlone => true;

    /// <summary>
    /// For delivery, one reader: first every message found at start, oldest first, then what changes. A message that
    /// changes several times between two reads comes once, as it then stands; one whose <see cref="QueueChange.Message"/>
    /// is null has left the queue and may never have been seen.
    /// </summary>
    public ChannelReader<QueueChange> Changes => _state.Feed;

    /// <summary>Milliseconds; the time of all schedules.</summary>
    public long ClusterTime => _log.ClusterTime;

    /// <summary>Index of the latest log entry known to be committed.</summary>
    public long CommitIndex => _log.CommitIndex;

    /// <summary>Index of the latest log entry that the queue has applied.</summary>
    public long AppliedIndex => _log.AppliedIndex;

    /// <summary>The log's current term.</summary>
    public long Term => _log.Term;

    /// <summary>Whether proposals can commit now.</summary>
    public bool IsReady => _log.IsReady && !Failed.IsCompleted;

    /// <summary>
    /// Opens the data directory, reads the queue back, starts the log and waits until it has caught up; then begins this
    /// node's new life in the log, so that nothing of an earlier one applies any more.
    /// </summary>
    /// <exception cref="StorageException">The data directory can't be used; the message says why and what to do.</exception>
    public static async Task<MailQueue> OpenAsync(
        MailQueueOptions options, TimeProvider time, ILoggerFactory loggers, CancellationToken token)
    {
        ArgumentNullException.ThrowIfNull(options);
        var database = Database.Open(options.Database, time, loggers.CreateLogger("storage"));
        ReplicatedQueue? state = null;
        ClusterNode? log = null;
        MailQueue? queue = null;
        try
        {
            var bodies = new BodyStore(database);
            var nodeId = ReadOrWriteNodeId(database, options.NodeId);
            state = new ReplicatedQueue(database, bodies, options.WriteBehind, time);
            log = new ClusterNode(
                new ClusterNodeOptions
                {
                    NodeId = nodeId,
                    Directory = Path.Combine(database.Path, "log"),
                },
                state, time, loggers.CreateLogger("log"), database.Journal);
            await log.StartAsync(token);
            queue = new MailQueue(database, bodies, state, log, nodeId, options, time, loggers.CreateLogger("queue"));
            await queue.BeginAsync(options, time, token);
            return queue;
        }
        catch
        {
            if (queue is not null)
            {
                await queue.DisposeAsync();
                throw;
            }

            if (log is not null)
            {
                await log.DisposeAsync();
            }

            if (state is not null)
            {
                await state.DisposeAsync();
            }

            await database.DisposeAsync();
            throw;
        }
    }

    /// <summary>A new queue id; this process makes none twice.</summary>
    public QueueId NewId() => _ids.Next(_state.IdFloor);

    /// <summary>Proposes a command and waits until it is committed and applied here.</summary>
    /// <param name="command">What is to change.</param>
    /// <param name="token">Ends the waiting, which makes the outcome <see cref="ProposalOutcome.Unknown"/>, not the proposal.</param>
    public async ValueTask<QueueProposal> ProposeAsync(QueueCommand command, CancellationToken token)
    {
        var result = await _log.ProposeAsync(QueueEncoding.Encode(command), token);
        if (result.Outcome != ProposalOutcome.Applied)
        {
            return new QueueProposal(result.Outcome, default, result.Reason);
        }

        return result.Value.Length == 1
            ? new QueueProposal(ProposalOutcome.Applied, (ApplyStatus)result.Value.Span[0])
            : new QueueProposal(ProposalOutcome.Unknown, default, "the log has no answer of the queue any more");
    }

    /// <summary>
    /// Takes responsibility for a message whose body is complete. Unless the result <see cref="QueueProposal.IsAccepted"/>,
    /// the client must be answered 451: the message is then taken back in the background, until that is committed.
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
            new EnqueueCommand(id, envelope, body.Size, traits, body.Hash, _holders, NodeId), token);
        if (proposal.IsAccepted)
        {
            return proposal;
        }

        LogNotEnqueued(_logger, id, proposal.Outcome, proposal.Status, proposal.Reason);
        if (proposal.Status != ApplyStatus.Collision)
        {
            await _retractions.AddAsync(id, withdraws: proposal.Outcome == ProposalOutcome.Unknown);
        }

        return proposal;
    }

    /// <summary>Gives up a body that is complete and will not be enqueued.</summary>
    public ValueTask AbandonAsync(QueueId id) => _retractions.AddAsync(id, withdraws: false);

    /// <summary>The message, if it is in the queue.</summary>
    public bool TryGet(QueueId id, [NotNullWhen(true)] out QueuedMessage? message) => _state.TryGet(id, out message);

    /// <summary>Up to <paramref name="limit"/> messages, in no particular order.</summary>
    public IReadOnlyList<QueuedMessage> Messages(int limit) => _state.Messages(limit);

    /// <summary>Up to <paramref name="limit"/> suspects, oldest first.</summary>
    public IReadOnlyList<Suspect> Suspects(int limit) => _state.Suspects(limit);

    /// <summary>Stops proposing, writes what is pending, and closes log and database. Readers of bodies must have finished.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _sweeping;
        await _retractions.DisposeAsync();
        await _log.CheckpointAsync();
        await _log.DisposeAsync();
        await _state.DisposeAsync();
        await _database.DisposeAsync();
        _stop.Dispose();
    }

    private static async Task<Exception> FirstFailureAsync(Task<Exception> disk, Task<Exception> log) =>
        await await Task.WhenAny(disk, log);

    private static string ReadOrWriteNodeId(Database database, string? wanted)
    {
        if (database.Store.Get(database.Meta, NodeIdKey) is not { } stored)
        {
            var made = wanted ?? "node-" + database.DiskId[^12..];
            using var batch = new RocksBatch();
            batch.Put(database.Meta, NodeIdKey, Encoding.UTF8.GetBytes(made));
            database.Store.Write(batch, sync: true);
            return made;
        }

        var found = Encoding.UTF8.GetString(stored);
        return wanted is null || wanted == found
            ? found
            : throw new StorageException(
                $"The data directory {database.Path} belongs to node {found}, not to {wanted}: its messages are {found}'s. "
                + $"Start with node id {found}, or with another data directory.");
    }

    private async Task BeginAsync(MailQueueOptions options, TimeProvider time, CancellationToken token)
    {
        while (true)
        {
            using var timeout = new CancellationTokenSource(options.ProposalTimeout, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, token);
            var begun = await ProposeAsync(new OwnerRestartedCommand(NodeId), either.Token);
            if (begun.IsAccepted)
            {
                break;
            }

            // Proposed twice, the second only raises the epoch once more.
            token.ThrowIfCancellationRequested();
            if (Failed.IsCompleted || begun.Outcome == ProposalOutcome.Refused)
            {
                throw new StorageException($"The log in {_database.Path} does not take commands: {begun.Reason}");
            }
        }

        _retractions.Start();
        var found = Bodies.Ids().GetEnumerator();
        var any = found.MoveNext();
        _state.Publish();
        _sweeping = Task.Run(() => SweepAsync(found, any, _stop.Token), CancellationToken.None);
    }

    /// <summary>Gives up every body, of those found at start, that belongs to no message: its life ended between body and Enqueue.</summary>
    private async Task SweepAsync(IEnumerator<QueueId> found, bool any, CancellationToken token)
    {
        var count = 0;
        try
        {
            for (; any && !token.IsCancellationRequested; any = found.MoveNext())
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
