using System.Net;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The replicated log on the DotNext engine. One member so far: it leads at once. Commands that arrive while an entry
/// is being made durable share the next one; nothing waits for company.
/// </summary>
public sealed class RaftLog : IReplicatedLog
{
    private readonly RaftLogOptions _options;
    private readonly TimeProvider _time;
    private readonly IReplicatedState _state;
    private readonly StateApplier _applier;
    private readonly SnapshotMark _mark;
    private readonly ReplicatedStateMachine _machine;
    private readonly ILogger _logger;
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly Queue<ProposalBatch> _waiting = new();
    private readonly SemaphoreSlim _work = new(0);
    private ProposalBatch? _open;
    private int _waitingCommands;
    private long _waitingBytes;
    private bool _closed;
    private BoundedDurableLog? _log;
    private RaftNode? _node;
    private Task _proposing = Task.CompletedTask;

    /// <summary>Prepares the log; <see cref="StartAsync"/> opens it.</summary>
    public RaftLog(RaftLogOptions options, IReplicatedState state, TimeProvider time, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(time);
        ArgumentNullException.ThrowIfNull(logger);
        _options = options;
        _state = state;
        _time = time;
        _logger = logger;
        Directory.CreateDirectory(options.Directory);
        _mark = new SnapshotMark(options.Directory, state);
        _applier = new StateApplier(state);
        _applier.StartAt(_mark.Index, _mark.Stamp);
        _machine = new ReplicatedStateMachine(state, _applier, _mark, options.SnapshotEntries, Fail);
    }

    /// <inheritdoc/>
    public long CommitIndex => _log?.LastCommittedEntryIndex ?? 0;

    /// <inheritdoc/>
    public long AppliedIndex => _applier.AppliedIndex;

    /// <inheritdoc/>
    public long Term => (_log as IPersistentState)?.Term ?? 0;

    /// <inheritdoc/>
    public bool IsReady => _node is { Leads: true } && _applier.Clock is not null && !_failed.Task.IsCompleted && !_closed;

    /// <inheritdoc/>
    public long ClusterTime => _applier.Clock?.Now ?? 0;

    /// <inheritdoc/>
    public Task<Exception> Failed => _failed.Task;

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken token)
    {
        if (_mark.Index > _state.AppliedIndex)
        {
            throw new LogFormatException(
                $"The state ends at entry {_state.AppliedIndex}, but the log has forgotten everything up to {_mark.Index}: the state's files are missing or older than the log's.");
        }

        WriteAheadLog.Options options = new()
        {
            Location = Path.Combine(_options.Directory, "entries"),
            ChunkSize = 16 << 20,
            HashAlgorithm = WriteAheadLog.IntegrityHashAlgorithm.XxHash3,
            MemoryManagement = WriteAheadLog.MemoryManagementStrategy.PrivateMemory,
        };
        _log = new BoundedDurableLog(options, _machine, 4 << 20, 4096);
        _node = new RaftNode(new DnsEndPoint(_options.NodeId, _options.Incarnation), _log, _logger);
        _machine.Open();
        await _node.StartAsync(token);

        // An entry of its own term commits whatever an earlier life has left.
        await _node.ReplicateAsync(new BinaryLogEntry { Term = Term, Content = default }, token);
        _applier.Clock = new ClusterClock(_time, _applier.LastStamp);
        _proposing = Task.Run(() => ProposeWaitingAsync(_stop.Token), CancellationToken.None);
    }

    /// <inheritdoc/>
    public ValueTask<ProposalResult> ProposeAsync(ReadOnlyMemory<byte> command, CancellationToken token)
    {
        if (command.Length > _options.MaxEntryBytes)
        {
            return Refused($"The command has {command.Length} bytes; the limit is {_options.MaxEntryBytes}.");
        }

        Proposal proposal = new();
        lock (_lock)
        {
            if (_closed || _applier.Clock is null)
            {
                return Refused("The log is not running.");
            }

            if (_waitingCommands >= _options.MaxWaitingCommands || _waitingBytes + command.Length > _options.MaxWaitingBytes)
            {
                return Refused("Too many commands wait for the log.");
            }

            if (_open is null || _open.Count >= _options.MaxEntryCommands || _open.Length + command.Length > _options.MaxEntryBytes)
            {
                _open = new ProposalBatch();
                _waiting.Enqueue(_open);
                _work.Release();
            }

            _open.Add(proposal, (ulong)_options.Incarnation, command);
            _waitingCommands++;
            _waitingBytes += LogEntryFormat.CommandHeaderSize + command.Length;
        }

        proposal.WaitNoLongerThan(token);
        return new ValueTask<ProposalResult>(proposal.Task);
    }

    /// <summary>Stops proposing, answers what waits, and closes the log.</summary>
    public async ValueTask DisposeAsync()
    {
        Close("The log is stopping.");
        await _stop.CancelAsync();
        await _proposing;
        if (_node is not null)
        {
            await _node.StopAsync(CancellationToken.None);
            await _node.DisposeAsync();
        }

        if (_log is not null)
        {
            await _log.DisposeAsync();
        }

        _stop.Dispose();
        _work.Dispose();
    }

    private static ValueTask<ProposalResult> Refused(string reason) =>
        ValueTask.FromResult(new ProposalResult(ProposalOutcome.Refused, 0, default, reason));

    private async Task ProposeWaitingAsync(CancellationToken token)
    {
        try
        {
            while (true)
            {
                await _work.WaitAsync(token);
                ProposalBatch? batch = Take();
                if (batch is not null)
                {
                    await ProposeAsync(batch, token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            Close("The log is stopping.");
        }
    }

    private ProposalBatch? Take()
    {
        lock (_lock)
        {
            if (!_waiting.TryDequeue(out ProposalBatch? batch))
            {
                return null;
            }

            if (ReferenceEquals(batch, _open))
            {
                _open = null;
            }

            _waitingCommands -= batch.Count;
            _waitingBytes -= batch.Length - LogEntryFormat.HeaderSize;
            return batch;
        }
    }

    private async Task ProposeAsync(ProposalBatch batch, CancellationToken token)
    {
        try
        {
            long next = _log!.LastEntryIndex + 1;
            batch.Seal(ClusterTime, (ulong)next << 10);
            await _node!.ReplicateAsync(new BinaryLogEntry { Term = Term, Content = batch.Entry, Context = batch }, token);
        }
        catch (NotLeaderException)
        {
            batch.Failed(ProposalOutcome.Unknown, "This node stopped leading.");
        }
        catch (OperationCanceledException)
        {
            batch.Failed(ProposalOutcome.Unknown, "The log is stopping.");
        }
        catch (Exception problem)
        {
            batch.Failed(ProposalOutcome.Unknown, problem.Message);
            Fail(problem);
        }
    }

    private void Fail(Exception problem)
    {
        if (_failed.TrySetResult(problem))
        {
            Close($"The log has failed: {problem.Message}");
        }
    }

    private void Close(string reason)
    {
        List<ProposalBatch> refused;
        lock (_lock)
        {
            _closed = true;
            _open = null;
            refused = [.. _waiting];
            _waiting.Clear();
        }

        foreach (ProposalBatch batch in refused)
        {
            batch.Failed(ProposalOutcome.Refused, reason);
        }
    }
}
