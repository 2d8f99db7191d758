using Quorumail.Cluster.Log;
using Quorumail.Cluster.State;

namespace Quorumail.Cluster.Tests.State;

/// <summary>A log that applies at once, unless the test holds it up or lets it fail.</summary>
internal sealed class ScriptedLog(StateStoreState state) : IStateProposer
{
    private readonly Lock _lock = new();
    private long _index;

    public long ClusterTime { get; set; } = 1000;

    public bool Leads { get; set; } = true;

    /// <summary>Proposals that have begun.</summary>
    public int Proposals { get; private set; }

    public int Barriers { get; private set; }

    /// <summary>What the next proposals wait for.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    /// <summary>Whether a proposal waits for the gate longer than its caller does.</summary>
    public bool IsDeaf { get; set; }

    /// <summary>How proposals end instead of being applied.</summary>
    public ProposalOutcome? Failure { get; set; }

    /// <summary>How barriers end instead of being passed.</summary>
    public Exception? BarrierFailure { get; set; }

    public async ValueTask<ProposalResult> ProposeAsync(ReadOnlyMemory<byte> command, CancellationToken token)
    {
        lock (_lock)
        {
            Proposals++;
        }

        try
        {
            await Gate.WaitAsync(IsDeaf ? CancellationToken.None : token);
        }
        catch (OperationCanceledException)
        {
            return new ProposalResult(ProposalOutcome.Unknown, 0, default, "given up");
        }

        if (Failure is { } failure)
        {
            return new ProposalResult(failure, 0, default, "scripted");
        }

        ReadOnlyMemory<byte>[] answers = [default];
        lock (_lock)
        {
            state.Apply(++_index, ClusterTime, [command], answers);
            return new ProposalResult(ProposalOutcome.Applied, _index, answers[0]);
        }
    }

    public async ValueTask ReadBarrierAsync(CancellationToken token)
    {
        Barriers++;
        await Gate.WaitAsync(token);
        if (BarrierFailure is { } failure)
        {
            throw failure;
        }
    }
}
