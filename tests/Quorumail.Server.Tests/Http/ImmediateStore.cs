using Quorumail.Cluster.Log;
using Quorumail.Cluster.State;

namespace Quorumail.Server.Tests.Http;

/// <summary>Shared state over a log that commits at once, or does not.</summary>
internal sealed class ImmediateStore : IStateProposer, IAsyncDisposable
{
    private readonly DirectoryInfo _directory;
    private readonly StateStoreState _state;
    private readonly Lock _lock = new();
    private long _index;

    private ImmediateStore(DirectoryInfo directory, StateStoreState state, ReplicationCounters counters)
    {
        _directory = directory;
        _state = state;
        Store = new StateStore(state, this, new StateStoreOptions(), counters, TimeProvider.System);
    }

    public StateStore Store { get; }

    public long ClusterTime { get; set; } = 1_700_000_000_000;

    public bool Leads => false;

    public ProposalOutcome Outcome { get; set; }

    public static async Task<ImmediateStore> OpenAsync(CancellationToken token)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("quorumail-");
        ReplicationCounters counters = new();
        return new ImmediateStore(directory, await StateStoreState.OpenAsync(directory.FullName, counters, null, token), counters);
    }

    public ValueTask<ProposalResult> ProposeAsync(ReadOnlyMemory<byte> command, CancellationToken token)
    {
        if (Outcome != ProposalOutcome.Applied)
        {
            return ValueTask.FromResult(new ProposalResult(Outcome, 0, default, "no majority"));
        }

        ReadOnlyMemory<byte>[] answers = [default];
        lock (_lock)
        {
            _state.Apply(++_index, ClusterTime, [command], answers);
        }

        return ValueTask.FromResult(new ProposalResult(ProposalOutcome.Applied, _index, answers[0]));
    }

    public ValueTask ReadBarrierAsync(CancellationToken token) => Outcome == ProposalOutcome.Applied
        ? ValueTask.CompletedTask
        : ValueTask.FromException(new InvalidOperationException("no majority"));

    public async ValueTask DisposeAsync()
    {
        await Store.DisposeAsync();
        await _state.DisposeAsync();
        _directory.Delete(recursive: true);
    }
}
