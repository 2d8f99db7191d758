using System.Buffers;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>Between the engine's log and the state: applies entries and tells how far the log may forget.</summary>
internal sealed class ReplicatedStateMachine(
    IReplicatedState state, StateApplier applier, SnapshotMark mark, int snapshotEntries, Action<Exception> failed) : IStateMachine
{
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _term;

    /// <summary>Where the log begins.</summary>
    public ISnapshot? Snapshot => mark.Index == 0 ? null : mark;

    /// <summary>Lets entries through; before that the membership's storage may not be attached.</summary>
    public void Open() => _ready.TrySetResult();

    public async ValueTask<long> ApplyAsync(LogEntry entry, CancellationToken token)
    {
        await _ready.Task.WaitAsync(token);
        try
        {
            _term = entry.Term;
            entry.TryGetPayload(out ReadOnlySequence<byte> payload);
            ReadOnlyMemory<byte> bytes = payload.IsSingleSegment ? payload.First : payload.ToArray();
            ReadOnlySpan<ReadOnlyMemory<byte>> answers = applier.Apply(entry.Index, bytes);
            (entry.Context as ProposalBatch)?.Applied(entry.Index, answers);
            if (entry.Index - mark.Index >= snapshotEntries)
            {
                await TruncateAsync(token);
            }

            return entry.Index;
        }
        catch (Exception problem) when (problem is not OperationCanceledException)
        {
            failed(problem);
            throw;
        }
    }

    public ValueTask ReclaimGarbageAsync(long watermark, CancellationToken token) => ValueTask.CompletedTask;

    private async ValueTask TruncateAsync(CancellationToken token)
    {
        long index = applier.AppliedIndex;
        long durable = await state.FlushAsync(token);
        if (durable >= index)
        {
            mark.Move(index, _term, applier.LastStamp);
        }
    }
}
