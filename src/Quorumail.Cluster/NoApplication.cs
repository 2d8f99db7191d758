using Quorumail.Cluster.Health;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster;

/// <summary>Stands for the program around the cluster where there is none.</summary>
internal sealed class NoApplication : IReplicatedState, INodeLoad
{
    public long AppliedIndex => 0;

    public string Version => typeof(NoApplication).Assembly.GetName().Version?.ToString(3) ?? "0";

    public long ActiveConnections => 0;

    public long MessagesProcessed => 0;

    public string? Warning => null;

    public bool IsShortOfSpace => false;

    public string? Fault => null;

    public void Apply(long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers)
    {
        // Nobody proposes anything.
    }

    public ValueTask<long> FlushAsync(CancellationToken token) => ValueTask.FromResult(0L);

    public ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token) => ValueTask.FromResult(0L);

    public ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token) => ValueTask.CompletedTask;
}
