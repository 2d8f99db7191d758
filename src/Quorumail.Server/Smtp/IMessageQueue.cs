using System.Diagnostics.CodeAnalysis;
using Quorumail.Core.Mail;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Smtp;

/// <summary>The part of the queue that receiving needs. The tests have one that answers as they tell it.</summary>
[SuppressMessage("Naming", "CA1711", Justification = "It is what a mail server calls its queue.")]
public interface IMessageQueue
{
    /// <summary>Whether a proposal can commit now.</summary>
    bool IsReady { get; }

    /// <summary>Whether this node is to take no mail, although it could.</summary>
    bool IsDraining { get; }

    /// <summary>A new queue id.</summary>
    QueueId NewId();

    /// <summary>Takes responsibility for a message whose body is complete; what isn't accepted is taken back through the log.</summary>
    ValueTask<QueueProposal> EnqueueAsync(QueueId id, Envelope envelope, BodyReceipt body, BodyTraits traits, CancellationToken token);

    /// <summary>Gives up a body that is, or may become, complete and will not be enqueued.</summary>
    ValueTask AbandonAsync(QueueId id);

    /// <summary>Lists a message whose 250 the client may not have read, in the background; false if that can't be remembered.</summary>
    ValueTask<bool> ReportUnreadAsync(QueueId id);
}
