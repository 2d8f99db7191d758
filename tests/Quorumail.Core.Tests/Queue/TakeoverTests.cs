using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Queue;

/// <summary>Run alone: it measures the CPU time of the whole process.</summary>
[Collection(nameof(MemoryTests))]
public sealed class TakeoverTests
{
    private readonly QueueChanges _changes = new();
    private readonly QueueState _state = new();
    private long _stamp = 5000;

    [Fact]
    public void Half_a_million_messages_change_hands_evenly_and_within_a_second()
    {
        const int Count = 500_000;
        Apply(new NodesChangedCommand([new("a", 1), new("b", 1), new("c", 1), new("d", 1), new("e", 1)], 3));
        var message = new EnqueueCommand(
            default, new Envelope("s@x", [new EnvelopeRecipient("r@y")]), 10, BodyTraits.None, new byte[16],
            [new("a", 1), new("b", 1), new("c", 1), new("d", 1)], "a");
        for (var i = 0; i < Count; i++)
        {
            _state.Apply(message with { Id = QueueId.Create(2000 + i / 5, (uint)i * 7919) }, _stamp, _changes);
            _changes.Clear();
        }

        var before = Environment.CpuUsage.TotalTime;
        Assert.Equal(ApplyStatus.Accepted, Apply(new NodeDownCommand("a", 1)));
        var cpu = (Environment.CpuUsage.TotalTime - before).TotalMilliseconds;
        TestContext.Current.TestOutputHelper?.WriteLine($"{cpu} ms of CPU");
        Assert.Equal(Count, _changes.Moved.Count);
        Assert.Empty(_changes.Messages);
        Assert.All(["b", "c", "d"], node => Assert.InRange(_state.CountOwnedBy(node), Count / 3 * 0.97, Count / 3 * 1.03));
        Assert.True(cpu < 1000, $"{cpu} ms of CPU");

        // The records are written anew bit by bit, and then the placement is forgotten.
        var renewed = 0;
        for (var i = 0; i < 3000 && _state.Placements.Count > 0; i++)
        {
            _changes.Clear();
            _stamp += 50;
            Apply(new ReportUnreadReplyCommand(QueueId.Create(1, 1)));
            Assert.True(_changes.Renewed.Count <= 256);
            renewed += _changes.Renewed.Count;
        }

        Assert.Equal(Count, renewed);
        Assert.Empty(_state.Placements);
    }

    private ApplyStatus Apply(QueueCommand command) => _state.Apply(command, _stamp++, _changes);
}
