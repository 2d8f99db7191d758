using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Raft;

/// <content>
/// Applying what is committed, and forgetting what the state holds durably. An entry is applied on the thread that has learnt of
/// its commit, or on one for that when it may take long.
/// </content>
internal sealed partial class RaftTrail
{
    private const int MaxAppliedHere = 4;

    private void ApplyUntilStopped()
    {
        try
        {
            while (WaitForCommitted())
            {
                _applying.Wait();
                try
                {
                    ApplyNext();
                }
                finally
                {
                    _applying.Release();
                }

                CompleteWaiters();
            }
        }
        catch (Exception problem)
        {
            Fail(problem);
        }
    }

    // Applies what is committed: on the calling thread, unless somebody else is at it, who is told to look again; or on the thread for that.
    private void Apply(bool here)
    {
        if (here && _applying.Wait(0))
        {
            try
            {
                while (Volatile.Read(ref _appliedIndex) < CommitIndex)
                {
                    ApplyNext();
                }
            }
            catch (Exception problem)
            {
                Fail(problem);
            }
            finally
            {
                _applying.Release();
            }

            CompleteWaiters();
        }

        lock (_gate)
        {
            if (_appliedIndex < _commitIndex)
            {
                Monitor.Pulse(_gate);
            }
        }
    }

    // Whether the thread that has learnt of a commit can apply it, which saves waking another. It may be one that heartbeats need: so no more than
    // a few entries, and none that has to wait for a disk. Under the gate.
    private bool CanApplyHere =>
        _commitIndex - _appliedIndex <= MaxAppliedHere && _configurations.Count == 0 && !_states.MayWait;

    private bool WaitForCommitted()
    {
        lock (_gate)
        {
            while (!_stopping && _failure is null && _appliedIndex >= _commitIndex)
            {
                Monitor.Wait(_gate);
            }

            return !_stopping && _failure is null;
        }
    }

    private void ApplyNext()
    {
        long index = Volatile.Read(ref _appliedIndex) + 1;
        if (index > CommitIndex)
        {
            return; // A snapshot was installed meanwhile.
        }

        JournalEntry entry = _journal.Read(index);
        if (entry.Kind == RecordKind.Configuration)
        {
            _ = Finish(ConfigurationStorage!.SaveConfigurationAsync(new JournalLogEntry(entry.Term, entry.Kind, entry.Payload), index, CancellationToken.None).AsTask());
            _applier.Apply(index, default);
            ForgetConfigurations(c => c.Index <= index);
        }
        else
        {
            ReadOnlySpan<ReadOnlyMemory<byte>> answers = _applier.Apply(index, entry.Payload);
            if (entry.Context is ProposalBatch batch)
            {
                batch.Applied(index, entry.Term, Incarnation, _applier.Commands, answers, _applier.Finished);
            }
            else
            {
                ForeignApplied?.Invoke(index, entry.Term, _applier.Commands, answers, _applier.Finished);
            }
        }

        Volatile.Write(ref _appliedIndex, index);
        _journal.Release(index);
        if (_flushing.IsCompleted && (index >= _nextFlushIndex || _journal.Written - _flushedBytes >= _options.SnapshotBytes))
        {
            BeginFlush();
        }
    }

    /// <summary>Completes when no flush is under way, which begins as an entry is applied.</summary>
    internal Task Flushed => _flushing;

    /// <summary>Flushes the state and forgets what it holds, so that the next start has little to recover.</summary>
    public async Task CheckpointAsync()
    {
        await _applying.WaitAsync();
        try
        {
            await _flushing;
            if (Volatile.Read(ref _failure) is null)
            {
                BeginFlush();
            }
        }
        finally
        {
            _applying.Release();
        }

        await _flushing;
    }

    // While nothing is applied and no flush is under way: index and stamp belong together.
    private void BeginFlush()
    {
        long index = Volatile.Read(ref _appliedIndex);
        _nextFlushIndex = index + _options.SnapshotEntries;
        _flushedBytes = _journal.Written;
        _stamps.Add((index, _applier.LastStamp));
        _flushing = FlushAndForgetAsync(index, _journal.BeginForgetting());
    }

    // Beside the applying: what the state flushes may take a while.
    private async Task FlushAndForgetAsync(long index, long position)
    {
        await Task.Yield();
        try
        {
            long durable = await _states.FlushAsync(CancellationToken.None);
            long most = Math.Min(Math.Min(durable, index), RetainedIndex());

            // What follows is applied again with the stamps of the first time: the mark's has to be that of its own entry.
            int last = _stamps.FindLastIndex(known => known.Index <= most);
            if (last >= 0 && _stamps[last] is var (forget, stamp) && forget >= _journal.Mark.Index)
            {
                _journal.Forget(new JournalMark(forget, _journal.TermOf(forget), stamp, durable), position);
                _stamps.RemoveRange(0, last);
            }
        }
        catch (Exception problem)
        {
            Fail(problem);
        }
    }

    private long RetainedIndex()
    {
        lock (_gate)
        {
            return _retained.Count == 0 ? long.MaxValue : _retained.Min(r => r.Index);
        }
    }

    private static T Finish<T>(Task<T> task)
    {
#pragma warning disable VSTHRD002 // This thread is the log's own; it has nothing else to do.
        return task.GetAwaiter().GetResult();
#pragma warning restore VSTHRD002
    }

    private Task WaitForAppliedAsync(long index, CancellationToken token)
    {
        TaskCompletionSource waiter;
        lock (_gate)
        {
            if (_failure is not null)
            {
                return Task.FromException(_failure);
            }

            if (index <= _appliedIndex)
            {
                return Task.CompletedTask;
            }

            // Continues on the applying thread: what waits here only proposes the next entry.
            waiter = new TaskCompletionSource();
            _waiters.Add((index, waiter));
        }

        return waiter.Task.WaitAsync(token);
    }

    private void CompleteWaiters()
    {
        while (true)
        {
            TaskCompletionSource waiter;
            lock (_gate)
            {
                int found = _waiters.FindIndex(w => w.Index <= _appliedIndex);
                if (found < 0)
                {
                    return;
                }

                waiter = _waiters[found].Waiter;
                _waiters.RemoveAt(found);
            }

            waiter.TrySetResult();
        }
    }

    private async Task WatchJournalAsync() => Fail(await _journal.Failed);

    /// <summary>Whether this log has failed; it takes nothing any more.</summary>
    public bool HasFailed => Volatile.Read(ref _failure) is not null;

    /// <summary>Ends this log: what its disk holds is not known any more.</summary>
    public void Fail(Exception problem)
    {
        lock (_gate)
        {
            _failure ??= problem;
            Monitor.Pulse(_gate);
        }

        FailWaiters(problem);
        _failed(problem);
    }

    private void ThrowIfFailed()
    {
        if (Volatile.Read(ref _failure) is { } cause)
        {
            throw new IOException($"The log has failed: {cause.Message}", cause);
        }
    }

    private void FailWaiters(Exception problem)
    {
        List<(long Index, TaskCompletionSource Waiter)> waiters;
        lock (_gate)
        {
            waiters = [.. _waiters];
            _waiters.Clear();
        }

        foreach ((_, TaskCompletionSource waiter) in waiters)
        {
            waiter.TrySetException(problem);
        }
    }
}
