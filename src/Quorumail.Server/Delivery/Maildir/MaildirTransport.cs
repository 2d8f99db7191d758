using System.Collections.Concurrent;
using Quorumail.Core.Delivery;
using Quorumail.Core.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Delivery.Maildir;

/// <summary>Delivers into Maildirs. Needs no accepted start: a repeated delivery finds its file.</summary>
internal sealed class MaildirTransport(IDeliveryQueue queue, MaildirCommitter committer, Func<string, string?> mailboxOf)
{
    /// <summary>Files of one attempt that are written at once; their fsyncs are shared.</summary>
    private const int FilesAtOnce = 16;

    private readonly ConcurrentDictionary<string, MaildirStore> _stores = new(StringComparer.Ordinal);

    private readonly Lock _gate = new();
    private long _epoch = queue.Epoch;
    private long _began = queue.ClusterTime;

    /// <summary>Makes the attempt; every recipient gets a reply.</summary>
    public async Task DeliverAsync(DeliveryAttempt attempt, CancellationToken token)
    {
        var recipients = attempt.Job.Recipients;
        var store = _stores.GetOrAdd(attempt.Job.Destination.Route.Path, root => new MaildirStore(root, committer, queue.NodeId));
        var tasks = new List<Task<DeliveryReply>>(Math.Min(recipients.Count, FilesAtOnce));
        for (var from = 0; from < recipients.Count; from += FilesAtOnce)
        {
            tasks.Clear();
            for (var i = from; i < recipients.Count && i < from + FilesAtOnce; i++)
            {
                tasks.Add(DeliverAsync(attempt.Job, recipients[i], store, token));
            }

            var replies = await Task.WhenAll(tasks);
            for (var i = 0; i < replies.Length; i++)
            {
                attempt.Reply(recipients[from + i], replies[i]);
            }
        }
    }

    private async Task<DeliveryReply> DeliverAsync(DeliveryJob job, int index, MaildirStore store, CancellationToken token)
    {
        var message = job.Message;
        var recipient = message.Recipients[index];
        var address = recipient.Envelope.Address;
        var mailbox = mailboxOf(address) ?? MailboxName.OfAddress(address);
        var relay = "maildir:" + MailboxName.ToFolder(mailbox);
        try
        {
            using var content = await queue.OpenAsync(message.Id, token);
            var mayBeRepeated = recipient.Attempts > 0 || MayHaveBeenAnothers(message);
            await store.DeliverAsync(mailbox, message.Id, index, message.ReversePath, address, content, mayBeRepeated, token);
            return new DeliveryReply(DeliveryVerdict.Delivered, "delivered to mailbox", "2.0.0", relay, DeliveryHandover.Final);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or StorageException)
        {
            return new DeliveryReply(DeliveryVerdict.Temporary, error.Message, CodeOf(error), relay);
        }
    }

    /// <summary>
    /// Whether another node, or another life of this one, may have filed a message before, of which there need be no record. What came within
    /// this life has the life's epoch, and a later one if it was another's meanwhile.
    /// </summary>
    private bool MayHaveBeenAnothers(QueuedMessage message)
    {
        lock (_gate)
        {
            if (queue.Epoch is var epoch && epoch != _epoch)
            {
                _epoch = epoch;
                _began = queue.ClusterTime;
            }

            return message.Epoch != _epoch || message.EnqueuedAt <= _began;
        }
    }

    private static string CodeOf(Exception error) => ((error.InnerException ?? error).HResult & 0xffff) switch
    {
        DiskError.NoSpace => "4.3.1",
        DiskError.QuotaExceeded => "4.2.2",
        _ => "4.3.0",
    };
}
