using System.Net;
using DotNext.Net.Cluster.Consensus.Raft;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The replicated log on the DotNext engine. One member so far: it leads at once. Commands that arrive while an entry
/// is being made durable share the next one; nothing waits for company.
/// </summary>
public sealed class RaftLog : IReplicatedLog
{
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(5);

    private readonly RaftLogOptions _options;
    private readonly TimeProvider _time;
    private readonly IReplicatedState _state;
    private readonly StateApplier _applier;
    private readonly ILogger _logger;
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly Queue<ProposalBatch> _waiting = new();
    private ProposalBatch? _open;
    private int _waitingCommands;
    private long _waitingBytes;
    private bool _proposing;
    private bool _closed = true;
    private readonly bool _ownsJournal;
    private EntryJournal? _journal;
    private MembershipFile? _membership;
    private RaftTrail? _trail;
    private RaftNode? _node;

    /// <summary>Prepares the log; <see cref="StartAsync"/> opens it.</summary>
    /// <param name="options">How it works.</param>
    /// <param name="state">What its commands make.</param>
    /// <param name="time">Monotonic.</param>
    /// <param name="logger">Told what the operator should know.</param>
    /// <param name="journal">Where its entries go, opened and not begun; it remains the caller's. Null for a journal of its own.</param>
    public RaftLog(RaftLogOptions options, IReplicatedState state, TimeProvider time, ILogger logger, EntryJournal? journal = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(time);
        ArgumentNullException.ThrowIfNull(logger);
        _options = options;
        _state = state;
        _time = time;
        _logger = logger;
        _applier = new StateApplier(state);
        _journal = journal;
        _ownsJournal = journal is null;
    }

    /// <inheritdoc/>
    public long CommitIndex => _trail?.CommitIndex ?? 0;

    /// <inheritdoc/>
    public long AppliedIndex => _applier.AppliedIndex;

    /// <inheritdoc/>
    public long Term => (_trail as IPersistentState)?.Term ?? 0;

    /// <inheritdoc/>
    public bool IsReady => !Volatile.Read(ref _closed) && _node is { Leads: true };

    /// <inheritdoc/>
    public long ClusterTime => _applier.Clock?.Now ?? 0;

    /// <inheritdoc/>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>How large the log is on the disk; for metrics.</summary>
    public JournalSize Size => _journal?.Size ?? default;

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken token)
    {
        try
        {
            await StartNodeAsync(token);
        }
        finally
        {
            // The start may have ended, well or badly, on the applying thread, which is not the caller's to keep.
            await Task.Yield();
        }

        _applier.Clock = new ClusterClock(_time, _applier.LastStamp);
        lock (_lock)
        {
            _closed = _failed.Task.IsCompleted;
        }
    }

    /// <inheritdoc/>
    public ValueTask<ProposalResult> ProposeAsync(ReadOnlyMemory<byte> command, CancellationToken token)
    {
        if (command.Length > _options.MaxEntryBytes)
        {
            return RefusedAsync($"The command has {command.Length} bytes; the limit is {_options.MaxEntryBytes}.");
        }

        Proposal proposal = new();
        bool start;
        lock (_lock)
        {
            if (_closed)
            {
                return RefusedAsync("The log is not running.");
            }

            if (_waitingCommands >= _options.MaxWaitingCommands || _waitingBytes + command.Length > _options.MaxWaitingBytes)
            {
                return RefusedAsync("Too many commands wait for the log.");
            }

            if (_open is null || _open.Count >= _options.MaxEntryCommands || _open.Length + command.Length > _options.MaxEntryBytes)
            {
                _open = new ProposalBatch();
                _waiting.Enqueue(_open);
            }

            _open.Add(proposal, (ulong)_options.Incarnation, command);
            _waitingCommands++;
            _waitingBytes += LogEntryFormat.CommandHeaderSize + command.Length;
            start = !_proposing;
            _proposing = true;
        }

        proposal.WaitNoLongerThan(token);
        if (start)
        {
            StartProposing();
        }

        return new ValueTask<ProposalResult>(proposal.Task);
    }

    /// <summary>Flushes the state and forgets what it holds, so that the next start has little to recover; for the end of a life.</summary>
    public Task CheckpointAsync() => _trail?.CheckpointAsync() ?? Task.CompletedTask;

    /// <summary>Refuses what waits, lets the entry under way finish, and closes the log.</summary>
    public async ValueTask DisposeAsync()
    {
        Close("The log is stopping.");
        try
        {
            await _idle.Task.WaitAsync(StopPatience, _time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            await _stop.CancelAsync();
        }

        if (_node is not null)
        {
            await _node.StopAsync(CancellationToken.None);
            await _node.DisposeAsync();
        }

        if (_trail is not null)
        {
            await _trail.DisposeAsync();
        }

        if (_ownsJournal)
        {
            _journal?.Dispose();
        }

        _stop.Dispose();
    }

    private static ValueTask<ProposalResult> RefusedAsync(string reason) =>
        ValueTask.FromResult(new ProposalResult(ProposalOutcome.Refused, 0, default, reason));

    private async Task StartNodeAsync(CancellationToken token)
    {
        Directory.CreateDirectory(_options.Directory);
        DnsEndPoint self = new(_options.NodeId, _options.Incarnation);
        _membership = MembershipFile.Open(Path.Combine(_options.Directory, "members"), self);
        if (!_membership.Members.SetEquals([self]))
        {
            throw new NotSupportedException(
                $"{_options.Directory} belongs to the members {string.Join(", ", _membership.Members)}; this node is {self}, and runs alone.");
        }

        _journal ??= EntryJournal.Open(Path.Combine(_options.Directory, "journal"), _options.SegmentBytes);
        _journal.Begin(_state.AppliedIndex);
        _trail = new RaftTrail(
            new RaftTrailOptions(Path.Combine(_options.Directory, "vote"), _options.SnapshotEntries, _options.SnapshotBytes),
            _journal,
            _membership,
            _state,
            _applier,
            Fail);
        if (Term < _journal.LastTerm)
        {
            throw new JournalException(
                $"{_options.Directory}: the vote file knows term {Term}, the journal {_journal.LastTerm}: the vote file is missing or older. This node's disk counts as wiped.");
        }

        _node = new RaftNode(self, _trail, _logger);
        await _node.StartAsync(token);

        // An entry of its own term commits whatever an earlier life has left.
        await _node.ReplicateAsync(new ProposalEntry(Term, default, null), token);
    }

    private void StartProposing()
    {
        if (ExecutionContext.IsFlowSuppressed())
        {
            _ = ProposeWaitingAsync();
            return;
        }

        // The first proposer's context is no business of those whose commands follow.
        using AsyncFlowControl flow = ExecutionContext.SuppressFlow();
        _ = ProposeWaitingAsync();
    }

    // Begins on the thread of the first proposer and goes on where the last entry was applied, until nothing waits.
    private async Task ProposeWaitingAsync()
    {
        while (Take() is { } batch)
        {
            await ProposeAsync(batch);
        }
    }

    private ProposalBatch? Take()
    {
        lock (_lock)
        {
            if (!_waiting.TryDequeue(out ProposalBatch? batch))
            {
                _proposing = false;
                if (_closed)
                {
                    _idle.TrySetResult();
                }

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

    private async Task ProposeAsync(ProposalBatch batch)
    {
        ProposalEntry? entry = null;
        try
        {
            // Sequence numbers rise across restarts, for an entry has at most 1024 commands.
            batch.Seal(ClusterTime, (ulong)(_trail!.LastEntryIndex + 1) << 10);
            entry = new ProposalEntry(Term, batch.Entry, batch);
            await _node!.ReplicateAsync(entry, _stop.Token);
        }
        catch (Exception problem)
        {
            batch.Failed(
                entry is { IsAppended: true } ? ProposalOutcome.Unknown : ProposalOutcome.Refused,
                problem is NotLeaderException ? "This node does not lead." : problem.Message);
            if (problem is not (NotLeaderException or OperationCanceledException))
            {
                Fail(problem);
            }
        }
        finally
        {
            batch.Release();
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
            if (!_proposing)
            {
                _idle.TrySetResult();
            }
        }

        foreach (ProposalBatch batch in refused)
        {
            batch.Failed(ProposalOutcome.Refused, reason);
        }
    }
}
