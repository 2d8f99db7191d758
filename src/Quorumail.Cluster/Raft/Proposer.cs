using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Cluster.Log;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// Brings batches into the log: as entries of its own while this node leads, else to the leader, again and again until they
/// are applied here or nobody waits for them. Numbered commands are applied once however often they come.
/// </summary>
#pragma warning disable CA1001 // Batches that are given up may still look at both when the node is gone, and neither holds anything of the system.
internal sealed class Proposer(ProposalQueue queue, RaftNode node, Func<long> clusterTime, Func<bool> mayLead, AsyncSignal changed, Action<Exception> failed, TimeSpan interval, TimeProvider time)
{
    // While some batches are on their way to the leader, others may go.
    private const int MaxOnTheirWay = 4;

    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(50);

    private readonly SemaphoreSlim _ways = new(MaxOnTheirWay);
    private readonly CancellationTokenSource _stop = new();

    /// <summary>Begins to take batches, until none waits.</summary>
    public void Start()
    {
        if (ExecutionContext.IsFlowSuppressed())
        {
            _ = TakeAllAsync();
            return;
        }

        // The first proposer's context is no business of those whose commands follow.
        using AsyncFlowControl flow = ExecutionContext.SuppressFlow();
        _ = TakeAllAsync();
    }

    /// <summary>Gives up what is under way.</summary>
    public Task StopAsync() => _stop.CancelAsync();

    /// <summary>An entry that another leader wrote is applied: whoever waits here for one of its commands is answered.</summary>
    public void ForeignApplied(
        ulong incarnation, long index, long term, IReadOnlyList<LoggedCommand> commands, ReadOnlySpan<ReadOnlyMemory<byte>> answers, ReadOnlySpan<bool> finished)
    {
        ProposalBatch? batch = null;
        for (int i = 0; i < commands.Count; i++)
        {
            ulong sequence = commands[i].Sequence;
            if (sequence == 0 || commands[i].Incarnation != incarnation
                || (batch is not null && sequence >= batch.FirstSequence && sequence < batch.EndSequence))
            {
                continue;
            }

            batch = queue.Find(sequence);
            batch?.Applied(index, term, incarnation, commands, answers, finished);
        }
    }

    // Begins on the thread of the first proposer and goes on where the last entry was applied, until nothing waits.
    private async Task TakeAllAsync()
    {
        while (true)
        {
            if (interval > TimeSpan.Zero && !queue.IsFull)
            {
                await GatherAsync();
            }

            if (queue.Take() is not { } batch)
            {
                return;
            }

            await PlaceAsync(batch);
        }
    }

    private async Task GatherAsync()
    {
        try
        {
            await Task.Delay(interval, time, _stop.Token);
        }
        catch (OperationCanceledException)
        {
            // What waits is to end now.
        }
    }

    private async Task PlaceAsync(ProposalBatch batch)
    {
        while (true)
        {
            Task change = changed.Next;
            if (node.Leads && mayLead())
            {
                if (await ReplicateAsync(batch))
                {
                    return;
                }
            }
            else if (batch.IsOver || _stop.IsCancellationRequested)
            {
                End(batch);
                return;
            }
            else if (node.Leader is { IsRemote: true } leader && !IsUnnumbered(batch))
            {
                // Not waited for: the next batch may be on its way meanwhile.
                await _ways.WaitAsync(_stop.Token).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
                _ = CarryAsync(batch, leader);
                return;
            }
            else if (IsUnnumbered(batch))
            {
                batch.Failed(ProposalOutcome.Refused, "This node does not lead.");
                End(batch);
                return;
            }

            await WaitAsync(change);
        }
    }

    private static bool IsUnnumbered(ProposalBatch batch) => batch.ProposalCount > 0 && batch.FirstSequence == 0;

    /// <summary>Brings a batch to the leader until it is applied here, nobody waits for it, or this node leads.</summary>
    private async Task CarryAsync(ProposalBatch batch, RaftMember leader)
    {
        try
        {
            batch.ReturnForwarded();
            while (!batch.IsOver && !_stop.IsCancellationRequested)
            {
                Task change = changed.Next;
                if (!await AskAsync(batch, leader))
                {
                    await WaitAsync(change);
                }

                if (node.Leads && mayLead())
                {
                    if (await ReplicateAsync(batch))
                    {
                        return;
                    }
                }
                else if (node.Leader is { IsRemote: true } next)
                {
                    leader = next;
                }
            }
        }
        catch (Exception problem)
        {
            if (!_stop.IsCancellationRequested)
            {
                failed(problem); // Whoever waits is told below.
            }
        }
        finally
        {
            _ways.Release();
        }

        End(batch);
    }

    // True if it is applied here, or nobody waits for it any more.
    private async Task<bool> AskAsync(ProposalBatch batch, RaftMember leader)
    {
        batch.Send();
        using FrameWriter frame = new(batch.Length + 64);
        frame.Int(leader.Incarnation).Int(batch.Count).Bytes(batch.Commands.Span);
        try
        {
            FrameReader answer = new(await AskWhileItLeadsAsync(leader, frame.Body));
            if ((FrameAnswer)answer.Byte() != FrameAnswer.Done)
            {
                return false;
            }

            (long index, long term) = (answer.Long(), answer.Long());
            node.Trail.HearCommitted(index, term, here: true);
            await ((DotNext.IO.Log.IAuditTrail)node.Trail).WaitForApplyAsync(index, _stop.Token).AsTask().WaitAsync(Patience, node.Time, _stop.Token);
            return true;
        }
        catch (Exception unknown) when (unknown is IOException or InvalidDataException or OperationCanceledException or TimeoutException)
        {
            return false;
        }
    }

    // A silent leader is not waited for once there is another one: that one is asked, too, and what both get is applied once.
    private async Task<ReadOnlyMemory<byte>> AskWhileItLeadsAsync(RaftMember leader, ReadOnlyMemory<byte> body)
    {
        using CancellationTokenSource replaced = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        Task<ReadOnlyMemory<byte>> answer = node.Calls.AskAsync(leader, FrameType.Propose, body, Patience, replaced.Token);
        while (!answer.IsCompleted)
        {
            Task change = changed.Next;
            if (node.Leader is { } now && now != leader)
            {
                await replaced.CancelAsync();
                break;
            }

            await Task.WhenAny(answer, change);
        }

        return await answer;
    }

    // True if the batch has come to its end, well or badly.
    private async Task<bool> ReplicateAsync(ProposalBatch batch)
    {
        ProposalEntry? entry = null;
        bool wasSent = batch.IsSent;
        try
        {
            batch.Send();
            batch.Seal(clusterTime());
            entry = new ProposalEntry(node.LeadTerm, batch.Entry, batch);
            await node.ReplicateAsync(entry, _stop.Token);
            batch.Release();
            return true;
        }
        catch (Exception problem)
        {
            bool isFatal = problem is not (NotLeaderException or TermPassedException or OperationCanceledException or ObjectDisposedException);
            if (!isFatal && !IsUnnumbered(batch) && !_stop.IsCancellationRequested)
            {
                batch.ReturnForwarded();
                return batch.IsOver && EndNow(batch);
            }

            batch.Failed(
                wasSent || entry is { IsAppended: true } ? ProposalOutcome.Unknown : ProposalOutcome.Refused,
                problem is NotLeaderException ? "This node does not lead." : problem.Message);
            batch.Release();
            if (isFatal)
            {
                failed(problem);
            }

            return true;
        }
    }

    private static bool EndNow(ProposalBatch batch)
    {
        End(batch);
        return true;
    }

    private static void End(ProposalBatch batch)
    {
        batch.Failed(batch.IsSent ? ProposalOutcome.Unknown : ProposalOutcome.Refused, "The log is stopping.");
        batch.Release();
    }

    // Long enough for an entry that shares the leader's disk with others.
    private TimeSpan Patience => node.Timers.ElectionUpper * 2;

    private Task WaitAsync(Task change) => AsyncSignal.WaitAsync(change, RetryPause, node.Time, CancellationToken.None);
}
