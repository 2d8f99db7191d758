using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Tests.Log;

public sealed class ReplicatedStatesTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_state_that_writes_beside_the_applying_holds_the_log_up_by_one_flush_and_not_for_ever()
    {
        LateState late = new();
        ReplicatedStates states = new(new ClusterState(null), new MemoryState(), late);
        StateApplier applier = new(states);
        List<long> forgettable = [];
        for (int index = 1; index <= 6; index++)
        {
            byte[] entry = new byte[LogEntryFormat.HeaderSize + LogEntryFormat.CommandHeaderSize + 1];
            LogEntryFormat.WriteHeader(entry, index, 1);
            LogEntryFormat.WriteCommand(entry.AsSpan(LogEntryFormat.HeaderSize), new LoggedCommand(CommandTarget.Store, 1, 0, new byte[1]));
            applier.Apply(index, entry);
            forgettable.Add(await states.FlushAsync(Token));
        }

        Assert.Equal([0, 1, 2, 3, 4, 5], forgettable);
        Assert.Equal(6, await states.FlushAsync(Token));
    }

    /// <summary>Durable up to what it held at the flush before.</summary>
    private sealed class LateState : IReplicatedState
    {
        private long _flushed;

        public long AppliedIndex { get; private set; }

        public void Apply(long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers) => AppliedIndex = index;

        public ValueTask<long> FlushAsync(CancellationToken token)
        {
            long durable = _flushed;
            _flushed = AppliedIndex;
            return ValueTask.FromResult(durable);
        }

        public ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token) => throw new NotSupportedException();

        public ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token) => throw new NotSupportedException();
    }
}
