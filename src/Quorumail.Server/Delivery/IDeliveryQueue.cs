using System.Threading.Channels;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Delivery.Transport;

namespace Quorumail.Server.Delivery;

/// <summary>What delivery needs of the queue: the real one stands on the replicated log, the tests' one in memory refuses and forgets at will.</summary>
internal interface IDeliveryQueue
{
    /// <summary>This node: it delivers what it owns.</summary>
    string NodeId { get; }

    /// <summary>Every message found at start, then every change.</summary>
    ChannelReader<QueueChange> Changes { get; }

    /// <summary>Milliseconds; the time of all schedules.</summary>
    long ClusterTime { get; }

    /// <summary>The epoch of this node's present life: a message that comes to it has this one, one that was another's has a later one.</summary>
    long Epoch { get; }

    /// <summary>Whether proposals can commit now.</summary>
    bool IsReady { get; }

    /// <summary>Destinations and senders for which nothing may begin.</summary>
    IReadOnlyList<Suspension> Suspensions { get; }

    /// <summary>Why nothing should be written below a path now, as its disk, which is the queue's, is nearly full; null if it may.</summary>
    string? ShortageAt(string path);

    /// <summary>The message as it stands, or null if it has left the queue.</summary>
    QueuedMessage? Find(QueueId id);

    /// <summary>Proposes a command; null if nothing is known to be applied.</summary>
    ValueTask<ApplyStatus?> ProposeAsync(QueueCommand command, CancellationToken token);

    /// <summary>Opens a message's body.</summary>
    /// <exception cref="Storage.StorageException">It is missing or damaged.</exception>
    ValueTask<MessageContent> OpenAsync(QueueId id, CancellationToken token);

    /// <summary>Makes a notice's body durable and returns the command that puts it into the queue.</summary>
    /// <exception cref="Storage.StorageException">The disk is full or has failed.</exception>
    ValueTask<EnqueueCommand> StoreNoticeAsync(NoticePlan plan, ComposedNotice notice, CancellationToken token);
}
