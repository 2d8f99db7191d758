using System.Collections.Concurrent;
using Quorumail.Cluster.Log;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Smtp;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>A queue that answers as the test tells it and remembers what was proposed.</summary>
internal sealed class ScriptedQueue : IMessageQueue
{
    private int _ids;

    public static QueueProposal Accepted { get; } = new(ProposalOutcome.Applied, ApplyStatus.Accepted);

    public bool IsReady { get; set; } = true;

    public bool IsDraining { get; set; }

    public ConcurrentQueue<QueueCommand> Proposed { get; } = new();

    /// <summary>Decides what becomes of a command; by default it is accepted.</summary>
    public Func<QueueCommand, CancellationToken, ValueTask<QueueProposal>> Decide { get; set; } =
        static (_, _) => ValueTask.FromResult(Accepted);

    public IEnumerable<EnqueueCommand> Enqueued => Proposed.OfType<EnqueueCommand>();

    public QueueId NewId() => QueueId.Create(1_700_000_000_000, (uint)Interlocked.Increment(ref _ids));

    public ValueTask<QueueProposal> ProposeAsync(QueueCommand command, CancellationToken token)
    {
        Proposed.Enqueue(command);
        return Decide(command, token);
    }

    public async ValueTask<QueueProposal> EnqueueAsync(QueueId id, Envelope envelope, BodyReceipt body, BodyTraits traits, CancellationToken token)
    {
        try
        {
            return await ProposeAsync(new EnqueueCommand(id, envelope, body.Size, traits, body.Hash, [new BodyHolder("node", 1)], "node") { Body = body.Carried }, token);
        }
        catch (OperationCanceledException)
        {
            return new QueueProposal(ProposalOutcome.Unknown, default);
        }
    }

    public async ValueTask<bool> ReportUnreadAsync(QueueId id)
    {
        await ProposeAsync(new ReportUnreadReplyCommand(id), CancellationToken.None);
        return true;
    }

    public ValueTask AbandonAsync(QueueId id)
    {
        Proposed.Enqueue(new AbandonCommand(id));
        return ValueTask.CompletedTask;
    }
}
