using System.Buffers.Binary;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>Who is told what (RFC 3461 4.1 and 5.2, RFC 5321 4.5.5).</summary>
public static class NoticePolicy
{
    /// <summary>
    /// The notices that the results of one attempt ask for: at most one of each kind. None for the null sender, so that a
    /// notice never makes a notice.
    /// </summary>
    /// <param name="message">The message.</param>
    /// <param name="attempt">Number of the attempt.</param>
    /// <param name="results">One for each recipient of the attempt.</param>
    /// <param name="handovers">For each result, who reports a success.</param>
    /// <param name="salt">0; counted up if the log says that a derived id is taken.</param>
    /// <param name="sendersOf">The addresses that a reverse-path stands for, none if nobody reads mail to it; null: itself.</param>
    public static IReadOnlyList<NoticePlan> Plan(
        QueuedMessage message,
        int attempt,
        IReadOnlyList<RecipientResult> results,
        IReadOnlyList<DeliveryHandover> handovers,
        int salt = 0,
        Func<string, IReadOnlyList<string>>? sendersOf = null)
    {
        if (message.ReversePath.Length == 0)
        {
            return [];
        }

        List<NoticeRecipient>? failed = null;
        List<NoticeRecipient>? delayed = null;
        List<NoticeRecipient>? succeeded = null;
        for (var i = 0; i < results.Count; i++)
        {
            var result = results[i];
            var notify = message.Recipients[result.Recipient].Envelope.Notify;
            if (result.Outcome == RecipientOutcome.Bounced && Wants(notify, DsnNotify.Failure, byDefault: true))
            {
                (failed ??= []).Add(new NoticeRecipient(result, "failed"));
            }
            else if (result.DelayNoticed && Wants(notify, DsnNotify.Delay, byDefault: true))
            {
                (delayed ??= []).Add(new NoticeRecipient(result, "delayed"));
            }
            else if (result.Outcome == RecipientOutcome.Delivered && handovers[i] != DeliveryHandover.Onward
                && Wants(notify, DsnNotify.Success, byDefault: false))
            {
                var action = handovers[i] == DeliveryHandover.Final ? "delivered" : "relayed";
                (succeeded ??= []).Add(new NoticeRecipient(result, action));
            }
        }

        var plans = new List<NoticePlan>(1);
        IReadOnlyList<string>? to = null;
        Add(NoticeKind.Failure, failed);
        Add(NoticeKind.Delay, delayed);
        Add(NoticeKind.Success, succeeded);
        return plans;

        void Add(NoticeKind kind, List<NoticeRecipient>? recipients)
        {
            if (recipients is not null)
            {
                var id = DeriveId(message.Id, message.Epoch, attempt, recipients[0].Result.Recipient, kind, salt);
                to ??= sendersOf is null ? [message.ReversePath] : sendersOf(message.ReversePath);
                plans.Add(new NoticePlan(id, kind, message, attempt, recipients) { To = to });
            }
        }
    }

    /// <summary>
    /// The queue id of a notice. Attempts of one message that run together have different recipients and those that follow
    /// each other different numbers, so that no two notices of a message derive the same; and a new life of the owner has
    /// another epoch, so that it never meets the body that an earlier one left behind.
    /// </summary>
    public static QueueId DeriveId(QueueId original, long epoch, int attempt, int firstRecipient, NoticeKind kind, int salt = 0)
    {
        Span<byte> source = stackalloc byte[QueueId.ByteLength + sizeof(long) + 4 * sizeof(int)];
        original.WriteTo(source);
        var numbers = source[QueueId.ByteLength..];
        BinaryPrimitives.WriteInt64BigEndian(numbers, epoch);
        numbers = numbers[sizeof(long)..];
        BinaryPrimitives.WriteInt32BigEndian(numbers, attempt);
        BinaryPrimitives.WriteInt32BigEndian(numbers[4..], firstRecipient);
        BinaryPrimitives.WriteInt32BigEndian(numbers[8..], (int)kind);
        BinaryPrimitives.WriteInt32BigEndian(numbers[12..], salt);

        // FNV-1a, then a mix of its halves: stable over versions and machines.
        var hash = 14695981039346656037UL;
        foreach (var octet in source)
        {
            hash = (hash ^ octet) * 1099511628211UL;
        }

        hash ^= hash >> 29;
        hash *= 0xBF58476D1CE4E5B9UL;
        return QueueId.Create(original.Milliseconds, (uint)(hash >> 32));
    }

    private static bool Wants(DsnNotify notify, DsnNotify wanted, bool byDefault) =>
        notify == DsnNotify.Unspecified ? byDefault : notify.HasFlag(wanted) && !notify.HasFlag(DsnNotify.Never);
}
