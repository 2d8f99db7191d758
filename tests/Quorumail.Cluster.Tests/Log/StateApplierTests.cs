using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Tests.Log;

public sealed class StateApplierTests
{
    private const ulong Proposer = 4;

    private readonly MemoryState _application = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void A_retry_is_answered_like_the_first()
    {
        StateApplier applier = new(new ReplicatedStates(new ClusterState(null), _application));
        Assert.Equal((5, false), Answer(applier, 1, sequence: 1, 5));
        Assert.Equal((5, false), Answer(applier, 2, sequence: 1, 9));
        Assert.Equal(1, _application.Count);
    }

    // A snapshot holds each state as of an index of its own, the cluster's the lowest: what is between them comes again.
    [Fact]
    public async Task What_came_in_a_snapshot_ahead_of_its_answer_has_no_answer_rather_than_an_empty_one()
    {
        ClusterState behind = new(null);
        behind.Restore(await RenderedAfterAsync(entries: 1));
        StateApplier applier = new(new ReplicatedStates(behind, await AfterAsync(entries: 2)));

        Assert.Equal((1, false), Answer(applier, 1, sequence: 1, 1));
        Assert.Equal((null, true), Answer(applier, 2, sequence: 2, 2));
        Assert.Equal((3, false), Answer(applier, 3, sequence: 3, 3));
        Assert.Equal((null, true), Answer(applier, 4, sequence: 2, 2));
    }

    [Fact]
    public async Task A_state_is_told_of_commands_whose_effects_it_holds()
    {
        ClusterState cluster = new(null);
        cluster.Restore(await RenderedAfterAsync(entries: 1));
        MemoryState ahead = await AfterAsync(entries: 2);
        StateApplier applier = new(new ReplicatedStates(cluster, ahead));
        for (byte i = 1; i <= 3; i++)
        {
            Answer(applier, i, i, i);
        }

        Assert.Equal([1, 2], ahead.Recalled);
        Assert.Equal(3, ahead.Count);
    }

    [Fact]
    public async Task An_answer_that_is_not_known_stays_so_through_another_snapshot()
    {
        ClusterState cluster = new(null);
        StateApplier applier = new(new ReplicatedStates(cluster, await AfterAsync(entries: 1)));
        Assert.Equal((null, true), Answer(applier, 1, sequence: 1, 1));

        ClusterState restored = new(null);
        restored.Restore(cluster.Render([]));
        StateApplier next = new(new ReplicatedStates(restored, await AfterAsync(entries: 1)));
        Assert.Equal((null, true), Answer(next, 1, sequence: 1, 1));
        Assert.Equal((null, true), Answer(next, 2, sequence: 1, 1));
    }

    private static async Task<byte[]> RenderedAfterAsync(int entries)
    {
        ClusterState cluster = new(null);
        await ApplyAsync(cluster, new MemoryState(), entries);
        return cluster.Render([]);
    }

    private static async Task<MemoryState> AfterAsync(int entries)
    {
        MemoryState state = new();
        await ApplyAsync(new ClusterState(null), state, entries);
        return state;
    }

    private static async Task ApplyAsync(ClusterState cluster, MemoryState state, int entries)
    {
        StateApplier applier = new(new ReplicatedStates(cluster, state));
        for (byte i = 1; i <= entries; i++)
        {
            Answer(applier, i, i, i);
        }

        await state.FlushAsync(Token);
    }

    private static (int? Answer, bool IsFinished) Answer(StateApplier applier, long index, ulong sequence, byte command)
    {
        byte[] entry = new byte[LogEntryFormat.HeaderSize + LogEntryFormat.CommandHeaderSize + 1];
        LogEntryFormat.WriteHeader(entry, index, 1);
        LogEntryFormat.WriteCommand(
            entry.AsSpan(LogEntryFormat.HeaderSize), new LoggedCommand(CommandTarget.Application, Proposer, sequence, new[] { command }));
        ReadOnlySpan<ReadOnlyMemory<byte>> answers = applier.Apply(index, entry);
        return (answers[0].IsEmpty ? null : answers[0].Span[0], applier.Finished[0]);
    }
}
