using System.Threading.Channels;
using Quorumail.Cluster.Log;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Delivery.Transport;
using Quorumail.Server.Queue;

namespace Quorumail.Server.Delivery;

/// <summary>This node's mail queue, as delivery sees it.</summary>
internal sealed class LocalDeliveryQueue(MailQueue queue) : IDeliveryQueue
{
    public string NodeId => queue.NodeId;

    public ChannelReader<QueueChange> Changes => queue.Changes;

    public long ClusterTime => queue.ClusterTime;

    public long Epoch => queue.Epoch;

    public bool IsReady => queue.IsReady;

    public IReadOnlyList<Suspension> Suspensions => queue.Suspensions;

    public string? ShortageAt(string path) => queue.ShortageAt(path);

    public QueuedMessage? Find(QueueId id) => queue.TryGet(id, out var message) ? message : null;

    public async ValueTask<ApplyStatus?> ProposeAsync(QueueCommand command, CancellationToken token)
    {
        var proposal = await queue.ProposeAsync(command, token);
        return proposal.Outcome == ProposalOutcome.Applied ? proposal.Status : null;
    }

    public async ValueTask<MessageContent> OpenAsync(QueueId id, CancellationToken token) =>
        new StoredContent(await (Find(id) is { } message ? queue.Bodies.OpenAsync(message, token) : queue.Bodies.OpenAsync(id, token)));

    public async ValueTask<EnqueueCommand> StoreNoticeAsync(NoticePlan plan, ComposedNotice notice, CancellationToken token)
    {
        await using var writer = queue.Bodies.Begin(plan.Id, notice.Body.Length);
        await writer.WriteAsync(notice.Body, token);
        var receipt = await writer.KeepAsync(token);
        return plan.ToEnqueue(receipt.Size, receipt.Hash, notice.Traits, receipt.Holders ?? queue.HolderAlone(), queue.NodeId, receipt.Carried);
    }
}
