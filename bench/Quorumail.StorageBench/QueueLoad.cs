using Quorumail.Core;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.StorageBench;

/// <summary>Brings messages through the whole log: accepted, attempted, delivered, gone.</summary>
internal sealed class QueueLoad : Load
{
    private readonly MailQueue _queue;
    private readonly byte[] _octets;

    public QueueLoad(MailQueue queue, int size, int writers)
        : base(writers)
    {
        _queue = queue;
        _octets = new byte[size];
        new Random(size).NextBytes(_octets);
    }

    public static async Task<QueueId> EnqueueAsync(MailQueue queue, byte[] octets)
    {
        var id = queue.NewId();
        BodyReceipt receipt;
        await using (var writer = queue.Bodies.Begin(id, octets.Length))
        {
            await writer.WriteAsync(octets, CancellationToken.None);
            receipt = await writer.CompleteAsync(CancellationToken.None);
        }

        var envelope = new Envelope("sender@example.org", [new EnvelopeRecipient($"user{id.RandomPart % 1000}@example.net")]);
        var proposal = await queue.EnqueueAsync(id, envelope, receipt, BodyTraits.None, CancellationToken.None);
        Invariant.Check(proposal.IsAccepted, "the queue takes what the benchmark gives");
        return id;
    }

    protected override async Task DoAsync()
    {
        var id = await EnqueueAsync(_queue, _octets);
        Invariant.Check(_queue.TryGet(id, out var message), "what was enqueued is in the queue");
        await _queue.ProposeAsync(new AttemptStartedCommand(id, message.Epoch, 1, [0]), CancellationToken.None);
        var result = new RecipientResult(0, RecipientOutcome.Delivered, "250 2.0.0 ok", "2.0.0", "mx.example.net[192.0.2.1]:25");
        var ended = await _queue.ProposeAsync(new AttemptEndedCommand(id, message.Epoch, 1, [result], []), CancellationToken.None);
        Invariant.Check(ended.IsAccepted, "a delivery ends");
        while (_queue.Changes.TryRead(out _))
        {
        }
    }
}
