using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The commands that wait for the log, bounded, gathered into batches: what comes while a batch is under way shares the
/// next one. Numbers the commands and keeps the batches whose numbers may still be applied.
/// A command that may wait does so for the next one that may not, as long as such come in close order.
/// </summary>
internal sealed class ProposalQueue(ClusterNodeOptions options, TimeProvider time)
{
    // Telling the others what nobody waits for any more costs a few bytes: not with every command.
    private const ulong AcknowledgeEvery = 64;

    // A round of its own costs several syncs and a dozen woken threads on each node; what may wait costs next to nothing in one that takes place
    // anyway (docs/decisions/carried-bodies.md).
    private static readonly TimeSpan CloseOrder = TimeSpan.FromMilliseconds(5);

    // So many are company enough for one another.
    private const int Company = 3;

    private readonly Lock _lock = new();
    private readonly Queue<ProposalBatch> _waiting = new();
    private readonly LinkedList<ProposalBatch> _outstanding = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ProposalBatch? _open;
    private ulong _incarnation;
    private ulong _nextSequence;
    private ulong _acknowledged;
    private int _waitingCommands;
    private long _waitingBytes;
    private long? _hastyAt;
    private bool _isHasty;
    private bool _isTimed;
    private bool _taking;
    private bool _closed = true;
    private string _closedReason = "The log is not running.";

    /// <summary>Whether proposals are refused.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_lock)
            {
                return _closed;
            }
        }
    }

    /// <summary>Called when taking is to start though nobody has added anything.</summary>
    public Action? Overdue { get; set; }

    /// <summary>Completes when the queue is closed and what was under way has ended.</summary>
    public Task Idle => _idle.Task;

    /// <summary>Callers that wait, sent or not.</summary>
    public int Waiting
    {
        get
        {
            lock (_lock)
            {
                return _waitingCommands;
            }
        }
    }

    /// <summary>Whether a batch waits to which nothing can be added.</summary>
    public bool IsFull
    {
        get
        {
            lock (_lock)
            {
                return _waiting.Count > 1 || (_waiting.TryPeek(out ProposalBatch? batch) && (!ReferenceEquals(batch, _open) || batch.Count >= options.MaxEntryCommands));
            }
        }
    }

    /// <summary>Begins to take proposals.</summary>
    /// <param name="incarnation">Of this node's disk.</param>
    /// <param name="firstSequence">Above every number that this incarnation has used.</param>
    public void Open(ulong incarnation, ulong firstSequence)
    {
        lock (_lock)
        {
            _incarnation = incarnation;
            _nextSequence = firstSequence;
            _acknowledged = 0;
            _closed = false;
        }
    }

    /// <summary>Takes a command, or refuses it.</summary>
    /// <param name="target">Whose it is.</param>
    /// <param name="command">Copied.</param>
    /// <param name="isNumbered">Whether it may have to be proposed more than once.</param>
    /// <param name="mayWait">Whether it may wait for others.</param>
    /// <param name="start">Set if the caller is to start taking.</param>
    /// <param name="refusal">Why it is refused.</param>
    public Proposal? TryAdd(CommandTarget target, ReadOnlyMemory<byte> command, bool isNumbered, bool mayWait, out bool start, out string? refusal)
    {
        start = false;
        refusal = null;
        lock (_lock)
        {
            refusal = _closed ? _closedReason
                : _waitingCommands >= options.MaxWaitingCommands || _waitingBytes + command.Length > options.MaxWaitingBytes
                    || _nextSequence - Lowest() >= ProposalWindow.MaxWidth / 2 ? "Too many commands wait for the log."
                : null;
            if (refusal is not null)
            {
                return null;
            }

            ProposalBatch batch = BatchFor(command.Length, isNumbered);
            Proposal proposal = batch.NewProposal(mayWait);
            batch.Add(proposal, new LoggedCommand(target, _incarnation, isNumbered ? _nextSequence++ : 0, command));
            _waitingCommands++;
            _waitingBytes += LogEntryFormat.CommandHeaderSize + command.Length;
            start = Starts(mayWait);
            return proposal;
        }
    }

    /// <summary>Takes another node's commands; false if there is no room.</summary>
    public bool TryAdd(ForwardedCommands forwarded, out bool start)
    {
        lock (_lock)
        {
            start = false;
            if (_closed || _waitingBytes + forwarded.Commands.Length > options.MaxWaitingBytes)
            {
                return false;
            }

            BatchFor(forwarded.Commands.Length, isNumbered: true).Add(forwarded);
            _waitingCommands += forwarded.Count;
            _waitingBytes += forwarded.Commands.Length;
            start = Starts(mayWait: false); // They have waited where they come from.
            return true;
        }
    }

    /// <summary>Takes the next batch; nothing if none waits, and then somebody has to be told to start again.</summary>
    public ProposalBatch? Take()
    {
        lock (_lock)
        {
            if (WaitsForOthers() || !_waiting.TryDequeue(out ProposalBatch? batch))
            {
                _taking = false;
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
            _isHasty &= _waiting.Count > 0;
            return batch;
        }
    }

    /// <summary>The batch that a numbered command of this node belongs to, if anybody may still wait for it.</summary>
    public ProposalBatch? Find(ulong sequence)
    {
        lock (_lock)
        {
            for (LinkedListNode<ProposalBatch>? node = _outstanding.First; node is not null; node = node.Next)
            {
                if (sequence >= node.Value.FirstSequence && sequence < node.Value.EndSequence)
                {
                    return node.Value;
                }
            }

            return null;
        }
    }

    /// <summary>Refuses what waits and takes nothing any more.</summary>
    public void Close(string reason)
    {
        List<ProposalBatch> refused;
        lock (_lock)
        {
            _closed = true;
            _closedReason = reason;
            _open = null;
            refused = [.. _waiting];
            _waiting.Clear();
            _waitingCommands = 0;
            _waitingBytes = 0;
            if (!_taking)
            {
                _idle.TrySetResult();
            }
        }

        foreach (ProposalBatch batch in refused)
        {
            batch.Failed(ProposalOutcome.Refused, reason);
        }
    }

    private bool Starts(bool mayWait)
    {
        if (!mayWait)
        {
            _isHasty = true;
            _hastyAt = time.GetTimestamp();
        }

        if (_taking || WaitsForOthers())
        {
            return false;
        }

        _taking = true;
        return true;
    }

    // Whether all that is here may wait, and others can be expected. Then somebody looks again when they can't.
    private bool WaitsForOthers()
    {
        TimeSpan left = _isHasty || _waiting.Count == 0 || _waitingCommands >= Company || _hastyAt is not { } at ? TimeSpan.Zero : CloseOrder - time.GetElapsedTime(at);
        if (left <= TimeSpan.Zero)
        {
            return false;
        }

        if (!_isTimed)
        {
            _isTimed = true;
            _ = LookAgainAsync(left);
        }

        return true;
    }

    private async Task LookAgainAsync(TimeSpan left)
    {
        // Rounded up, and never over at once: who waits may hold the lock, and look before it has said that it takes nothing any more.
        await Task.Delay(left + TimeSpan.FromMilliseconds(1), time);
        bool start;
        lock (_lock)
        {
            _isTimed = false;
            start = _waiting.Count > 0 && Starts(mayWait: true);
        }

        if (start)
        {
            Overdue?.Invoke();
        }
    }

    private ProposalBatch BatchFor(int bytes, bool isNumbered)
    {
        if (_open is { } open && open.Count < options.MaxEntryCommands && open.Length + LogEntryFormat.CommandHeaderSize + bytes <= options.MaxEntryBytes
            && (open.ProposalCount == 0 || isNumbered == (open.FirstSequence != 0)))
        {
            return open;
        }

        _open = new ProposalBatch();
        _waiting.Enqueue(_open);
        if (isNumbered)
        {
            ulong lowest = Lowest();
            _outstanding.AddLast(_open);
            if (lowest - _acknowledged >= AcknowledgeEvery)
            {
                _acknowledged = lowest;
                _open.Add(new LoggedCommand(CommandTarget.Cluster, _incarnation, 0, ClusterCommand.Acknowledge(lowest)));
                _waitingCommands++;
                _waitingBytes += LogEntryFormat.CommandHeaderSize + 9;
            }
        }

        return _open;
    }

    // The lowest number that somebody waits for, or the next one.
    private ulong Lowest()
    {
        while (_outstanding.First is { } first && first.Value.IsOver && !ReferenceEquals(first.Value, _open))
        {
            _outstanding.RemoveFirst();
        }

        for (LinkedListNode<ProposalBatch>? node = _outstanding.First; node is not null; node = node.Next)
        {
            if (node.Value.ProposalCount > 0)
            {
                return node.Value.FirstSequence;
            }
        }

        return _nextSequence;
    }
}
