using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Core.Tests.Delivery;

namespace Quorumail.Core.Tests.Queue;

/// <summary>Run alone: they measure the memory of the whole process.</summary>
[CollectionDefinition(nameof(MemoryTests), DisableParallelization = true)]
[Collection(nameof(MemoryTests))]
public sealed class MemoryTests
{
    private const int Count = 500_000;

    [Fact]
    public void Half_a_million_queued_messages_fit_in_memory()
    {
        var state = new QueueState();
        var changes = new QueueChanges();
        var before = GC.GetTotalMemory(true);
        for (var i = 0; i < Count; i++)
        {
            var id = QueueId.Create(10_000 + i / 10, (uint)i);
            var envelope = new Envelope("sender@example.org", [new EnvelopeRecipient($"recipient{i}@destination{i % 1000}.example")]);
            state.Apply(new EnqueueCommand(id, envelope, 4096, BodyTraits.None, new byte[16], [new BodyHolder(New("a"), 1)], New("a")), i, changes);
            var result = new RecipientResult(
                0, RecipientOutcome.Deferred, New("connection refused"), New("4.4.1"), $"mx{i % 1000}.example:25", 1);
            state.Apply(new AttemptEndedCommand(id, 0, 1, [result], []), i, changes);
            changes.Clear();
        }

        var octets = (GC.GetTotalMemory(true) - before) / Count;
        Assert.Equal(Count, state.Counts.Deferred);
        TestContext.Current.TestOutputHelper?.WriteLine($"{octets} octets a message");
        Assert.True(octets < 700, $"{octets} octets a message");
    }

    [Fact]
    public void Half_a_million_messages_cost_the_scheduler_little()
    {
        var now = QueuedMessages.Start + 20_000;
        var messages = new QueuedMessage[Count];
        for (var i = 0u; i < Count; i++)
        {
            messages[i] = QueuedMessages.New(i, $"a@d{i % 5000}").Deferred(1, QueuedMessages.Start + i % 10_000);
        }

        var before = GC.GetTotalMemory(true);
        var scheduler = new DeliveryScheduler(new RouteTable([]), new RetryPolicy(), new DeliveryLimits(), "me");
        foreach (var message in messages)
        {
            scheduler.Observe(message);
        }

        var octets = (GC.GetTotalMemory(true) - before) / Count;
        TestContext.Current.TestOutputHelper?.WriteLine($"{octets} octets a message");
        Assert.True(octets < 350, $"{octets} octets a message");
        for (var i = 0; i < Count; i++)
        {
            var job = scheduler.TryTakeJob(now)!;
            scheduler.Forget(job.Message.Id);
            scheduler.Completed(job, recorded: true, now);
        }

        Assert.Equal(0, scheduler.MessageCount);
    }

    /// <summary>An instance of its own, as a decoder makes them.</summary>
    private static string New(string text) => new(text.AsSpan());
}
