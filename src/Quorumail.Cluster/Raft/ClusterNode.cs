using System.Net;
using DotNext.Net.Cluster.Consensus.Raft;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Membership;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// A member of a cluster and its log, on the DotNext engine; without a transport a node that stands alone, which leads at
/// once. Commands that come while an entry is being made durable share the next one; nothing waits for company. Commands
/// of a follower travel to the leader, and are applied once however often they have to.
/// </summary>
public sealed partial class ClusterNode : IReplicatedLog
{
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(5);

    private readonly ClusterNodeOptions _options;
    private readonly ClusterNodeStates _states;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly EntryJournal? _givenJournal;
    private readonly ITransport? _transport;
    private readonly NodeTraffic _traffic;
    private readonly ProposalQueue _queue;
    private readonly AsyncSignal _changed = new();
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stop = new();
    private RunningLog? _log;
    private Proposer? _proposer;
    private ClusterClock? _clock;
    private Formation? _formation;
    private long _startedAt;
    private bool _isDisposed;

    /// <summary>Prepares a node that stands alone; <see cref="StartAsync"/> opens its log.</summary>
    /// <param name="options">Where and how.</param>
    /// <param name="state">What the application's commands make.</param>
    /// <param name="time">The one clock.</param>
    /// <param name="logger">Told what the operator should know.</param>
    /// <param name="journal">Where the entries go, opened and not begun; it remains the caller's. Null for a journal of its own.</param>
    public ClusterNode(ClusterNodeOptions options, IReplicatedState state, TimeProvider time, ILogger logger, EntryJournal? journal = null)
        : this(options, new ClusterNodeStates(state), null, null, time, logger, journal)
    {
    }

    /// <summary>Prepares a node of a cluster.</summary>
    /// <param name="options">Where and how.</param>
    /// <param name="states">What the log's commands make.</param>
    /// <param name="transport">Carries the frames; the node's from here on. Null for a node that stands alone.</param>
    /// <param name="next">Told of frames that are not the log's, and of who is connected.</param>
    /// <param name="time">The one clock.</param>
    /// <param name="logger">Told what the operator should know.</param>
    /// <param name="journal">As above.</param>
    internal ClusterNode(
        ClusterNodeOptions options, ClusterNodeStates states, ITransport? transport, ITransportHandler? next, TimeProvider time, ILogger logger, EntryJournal? journal = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(states);
        ArgumentNullException.ThrowIfNull(time);
        ArgumentNullException.ThrowIfNull(logger);
        if (options.Timers.Problem() is { } problem)
        {
            throw new ArgumentException(problem, nameof(options));
        }

        _options = options;
        _states = states;
        _transport = transport;
        _time = time;
        _logger = logger;
        _givenJournal = journal;
        _queue = new ProposalQueue(options, time);
        _traffic = new NodeTraffic(options.NodeId, next) { Membership = AnswerMemberAsync, PeerChanged = _ => _changed.Set() };
        Events = new ClusterEvents(options.MaxEvents, time);
    }

    /// <summary>Told of each change of role or leader, one at a time, in order.</summary>
    public event Action<RoleChange>? RoleChanged;

    /// <summary>This node's name.</summary>
    public string NodeId => _options.NodeId;

    /// <summary>Generation of this node's disk; 0 until the cluster has given it one.</summary>
    public int Incarnation => _log?.Identity.Incarnation ?? 0;

    /// <summary>Rises with each start on this disk; 0 before the first.</summary>
    public long Life => _log?.Identity.Life ?? 0;

    /// <summary>The cluster that this node's disk belongs to; empty until it does.</summary>
    public Guid ClusterId => _log?.Identity.ClusterId ?? Guid.Empty;

    /// <summary>What has happened.</summary>
    public ClusterEvents Events { get; }

    /// <inheritdoc/>
    public long CommitIndex => _log?.Trail.CommitIndex ?? 0;

    /// <inheritdoc/>
    public long AppliedIndex => _log?.Applier.AppliedIndex ?? 0;

    /// <summary>How the latest stretch of the log was applied here, for other nodes to compare; null if that is not known.</summary>
    public StateClaim? StateClaim => _log?.Applier.Digest.Latest;

    /// <summary>Whether another node's stretch of the log was applied as here; null if that is not known.</summary>
    public bool? ConfirmsState(StateClaim claim) => _log?.Applier.Digest.Confirms(claim);

    /// <inheritdoc/>
    public long Term => (_log?.Trail as IPersistentState)?.Term ?? 0;

    /// <inheritdoc/>
    public long ClusterTime => _clock?.Now ?? 0;

    /// <inheritdoc/>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>The feature level that all members have known at once.</summary>
    public int FeatureLevel => _log?.States.Cluster.FeatureLevel ?? 0;

    /// <summary>How large the log is on the disk; for metrics.</summary>
    public JournalSize Size => _log?.Size ?? default;

    /// <summary>Commands of this node that wait for the log.</summary>
    public int WaitingProposals => _queue.Waiting;

    /// <summary>
    /// Listens, finds or founds the cluster if the disk is empty, and starts the log; returns when this node takes part in
    /// it, which need not mean that there is a leader (<see cref="IsReady"/>).
    /// </summary>
    /// <exception cref="JournalException">The disk counts as wiped, or belongs to another node.</exception>
    public async Task StartAsync(CancellationToken token)
    {
        try
        {
            await StartLogAsync(token);
        }
        finally
        {
            // The start may have ended, well or badly, on the applying thread, which is not the caller's to keep.
            await Task.Yield();
        }
    }

    /// <inheritdoc/>
    public ValueTask<ProposalResult> ProposeAsync(ReadOnlyMemory<byte> command, CancellationToken token) =>
        ProposeAsync(CommandTarget.Application, command, mayWait: false, token);

    /// <inheritdoc />
    public ValueTask<ProposalResult> ProposeWithOthersAsync(ReadOnlyMemory<byte> command, CancellationToken token) =>
        ProposeAsync(CommandTarget.Application, command, mayWait: true, token);

    /// <summary>Proposes one command and waits until it is committed and applied here, whoever leads.</summary>
    /// <param name="target">Whose it is.</param>
    /// <param name="command">Copied before the method returns.</param>
    /// <param name="token">Bounds the waiting: the outcome is unknown then, or refused if nobody has taken the command.</param>
    public ValueTask<ProposalResult> ProposeAsync(CommandTarget target, ReadOnlyMemory<byte> command, CancellationToken token) =>
        ProposeAsync(target, command, mayWait: false, token);

    private ValueTask<ProposalResult> ProposeAsync(CommandTarget target, ReadOnlyMemory<byte> command, bool mayWait, CancellationToken token)
    {
        int limit = _options.MaxEntryBytes - LogEntryFormat.HeaderSize - (2 * LogEntryFormat.CommandHeaderSize) - sizeof(ulong) - 1;
        if (command.Length > limit)
        {
            return RefusedAsync($"The command has {command.Length} bytes; the limit is {limit}.");
        }

        // A lone member has nobody to propose to again, so its commands need no numbers.
        if (_queue.TryAdd(target, command, isNumbered: _log is { Trail.IsAlone: false }, mayWait, out bool start, out string? refusal) is not { } proposal)
        {
            return RefusedAsync(refusal!);
        }

        proposal.WaitNoLongerThan(token);
        if (start)
        {
            _proposer!.Start();
        }

        return new ValueTask<ProposalResult>(proposal.Task);
    }

    /// <summary>Flushes the state and forgets what it holds, so that the next start has little to recover; for the end of a life.</summary>
    public Task CheckpointAsync() => _log?.Trail.CheckpointAsync() ?? Task.CompletedTask;

    /// <summary>Refuses what waits, lets the entry under way finish, and closes the log.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, true))
        {
            return;
        }

        _queue.Close("The log is stopping.");
        try
        {
            await _queue.Idle.WaitAsync(_transport is null ? StopPatience : _options.Timers.ElectionLower, _time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            // Whatever is under way there is given up now.
        }

        await _stop.CancelAsync();
        if (_proposer is not null)
        {
            await _proposer.StopAsync();
        }

        await StopRolesAsync();
        _traffic.Log = null;
        if (_transport is not null)
        {
            await _transport.DisposeAsync();
        }

        if (_log is not null)
        {
            await _log.DisposeAsync();
        }

        _stop.Dispose();
    }

    private static ValueTask<ProposalResult> RefusedAsync(string reason) =>
        ValueTask.FromResult(new ProposalResult(ProposalOutcome.Refused, 0, default, reason));

    private async Task StartLogAsync(CancellationToken token)
    {
        Directory.CreateDirectory(_options.Directory);
        string path = Path.Combine(_options.Directory, "identity");
        NodeIdentity? identity = NodeIdentity.Read(path);
        if (RecoveryMark.Read(_options.Directory) is not null)
        {
            throw new JournalException(
                $"{_options.Directory}: founding a new cluster from this disk was begun and interrupted: do it again (cluster recover --force-new-cluster).");
        }

        if (_transport is not null)
        {
            await _transport.StartAsync(HelloOf(identity), _traffic, token);
            _transport.Dial(_options.Peers);
        }

        identity ??= _transport is null ? Found() : await FormAsync(_transport, token);
        if (!string.Equals(identity.NodeId, _options.NodeId, StringComparison.Ordinal))
        {
            throw new JournalException($"{_options.Directory} is the disk of {identity.NodeId}, not of {_options.NodeId}.");
        }

        identity = identity with { Life = identity.Life + 1 };
        identity.Write(path);
        File.Delete(Path.Combine(_options.Directory, "disk"));
        _log = await RunningLog.OpenAsync(_options, identity, _states, _givenJournal, _transport, _time, _logger, Fail, token);
        Prepare(_log);
        await _log.Node.StartAsync(token);
        if (_log.Trail.IsAlone)
        {
            // An entry of its own term commits whatever an earlier life has left.
            await _log.Node.ReplicateAsync(new ProposalEntry(Term, default, null), token);
        }

        await Task.Yield();
        _clock = new ClusterClock(_time, _log.Applier.LastStamp, isCold: !_log.Trail.IsAlone);
        _log.Applier.Clock = _clock;
        _startedAt = _log.Trail.LastEntryIndex;
        if (!_failed.Task.IsCompleted)
        {
            _queue.Open((ulong)identity.Incarnation, identity.FirstSequence);
        }

        Events.Note(ClusterEventKind.Started, Term, $"{NodeId}, incarnation {Incarnation}, starts with {_log.Membership.Members.Count} members at entry {CommitIndex}.");
        StartRoles(_log);
        _traffic.Log = _log;
        _transport?.Introduce(HelloOf(identity));
    }

    private NodeHello HelloOf(NodeIdentity? identity) =>
        new(_options.NodeId, identity?.Incarnation ?? 0, identity?.ClusterId ?? Guid.Empty, _options.FeatureLevel, _options.Address);

    private void CheckEmpty()
    {
        if (File.Exists(Path.Combine(_options.Directory, "cluster")) || Directory.Exists(Path.Combine(_options.Directory, "vote"))
            || _states.Application.AppliedIndex > 0 || _states.Store is { AppliedIndex: > 0 })
        {
            throw new JournalException(
                $"{_options.Directory} does not say whose disk it is, but holds a log or a state. This node's disk counts as wiped: empty the data directory to let the cluster take it in anew.");
        }
    }

    private NodeIdentity Found()
    {
        CheckEmpty();
        MembershipFile.Found(Path.Combine(_options.Directory, "members"), [new DnsEndPoint(_options.NodeId, 1)]);
        return new NodeIdentity(_options.NodeId, Guid.NewGuid(), 1, 0);
    }

    private async Task<NodeIdentity> FormAsync(ITransport transport, CancellationToken token)
    {
        CheckEmpty();
        Formation formation = new(_options, transport, _changed, _time, text => Events.Note(ClusterEventKind.Waiting, 0, text));
        _formation = formation;
        _ = formation.Mark; // Durable before anybody is told of it.
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(token, _stop.Token);
        NodeIdentity identity = await formation.RunAsync(either.Token);
        if (identity.Incarnation == 1)
        {
            Events.Note(ClusterEventKind.Founded, 0, $"{NodeId} has founded cluster {identity.ClusterId}.");
        }

        return identity;
    }

    private void Prepare(RunningLog log)
    {
        _proposer = new Proposer(_queue, log.Node, () => ClusterTime, () => _clock is { IsWarm: true }, _changed, Fail, _options.EntryInterval, _time);
        _queue.Overdue = _proposer.Start;
        log.Trail.ForeignApplied = (index, term, commands, answers, finished) =>
            _proposer.ForeignApplied((ulong)log.Identity.Incarnation, index, term, commands, answers, finished);
        log.Forward = forwarded =>
        {
            bool isTaken = _queue.TryAdd(forwarded, out bool start);
            if (start)
            {
                _proposer.Start();
            }

            return isTaken;
        };
        log.Lead = (kind, frame, token) => AnswerLeadAsync(log, kind, frame, token);
    }

    private void Fail(Exception problem)
    {
        if (_failed.TrySetResult(problem))
        {
            _queue.Close($"The log has failed: {problem.Message}");
            _changed.Set();
        }
    }
}
