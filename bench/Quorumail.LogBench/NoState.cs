using Quorumail.Cluster.Log;

namespace Quorumail.LogBench;

/// <summary>Keeps nothing, so that the log alone is measured.</summary>
internal sealed class NoState : IReplicatedState
{
    public long AppliedIndex { get; private set; }

    public void Apply(long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers) =>
        AppliedIndex = index;

    public ValueTask<long> FlushAsync(CancellationToken token) => ValueTask.FromResult(AppliedIndex);

    public ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token) => ValueTask.FromResult(AppliedIndex);

    public ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token) => ValueTask.CompletedTask;
}
