using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Delivery;

/// <summary>Makes messages as they stand in a queue.</summary>
internal static class QueuedMessages
{
    public const long Start = 1_800_000_000_000;

    public static QueuedMessage To(params string[] recipients) => New(1, recipients);

    public static QueuedMessage New(uint number, params string[] recipients) => new(
        QueueId.Create(Start, number), "sender@example.com", DsnReturn.Unspecified, null,
        [.. recipients.Select(r => new QueuedRecipient(new EnvelopeRecipient(r), RecipientState.Queued, 0, 0, Start, null, false))],
        1000, BodyTraits.None, new byte[16], [], "me", 0, Start, "");

    public static QueuedMessage With(this QueuedMessage message, int index, Func<QueuedRecipient, QueuedRecipient> change) =>
        message with { Recipients = [.. message.Recipients.Select((r, i) => i == index ? change(r) : r)] };

    public static QueuedMessage WithAll(this QueuedMessage message, Func<QueuedRecipient, QueuedRecipient> change) =>
        message with { Recipients = [.. message.Recipients.Select(change)] };

    public static QueuedMessage Deferred(this QueuedMessage message, int attempt, long nextAttemptAt) =>
        message.WithAll(r => r with { Attempts = attempt, NextAttemptAt = nextAttemptAt, State = RecipientState.Queued });
}
