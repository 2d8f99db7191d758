using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>Which messages an operator means: all that meet every condition that is set. Text is compared without regard to case.</summary>
public sealed record QueueSelection
{
    /// <summary>These; null: any.</summary>
    public IReadOnlyList<QueueId>? Ids { get; init; }

    /// <summary>The reverse-path; empty: the null sender; null: any.</summary>
    public string? Sender { get; init; }

    /// <summary>One of the recipients that are not final yet; null: any.</summary>
    public string? Recipient { get; init; }

    /// <summary>The domain of one of the recipients that are not final yet; null: any.</summary>
    public string? Domain { get; init; }

    /// <summary>Where the message stands; null: anywhere.</summary>
    public MessageState? State { get; init; }

    /// <summary>In the queue for at least this long, in milliseconds of cluster time; 0: any.</summary>
    public long MinAge { get; init; }

    /// <summary>Whether a message is meant.</summary>
    /// <param name="message">It.</param>
    /// <param name="now">Milliseconds of cluster time.</param>
    public bool Matches(QueuedMessage message, long now) =>
        now - message.EnqueuedAt >= MinAge
        && (State is not { } state || message.State == state)
        && (Sender is null || string.Equals(Sender, message.ReversePath, StringComparison.OrdinalIgnoreCase))
        && (Ids is null || Ids.Contains(message.Id))
        && ((Recipient is null && Domain is null) || HasRecipient(message));

    private bool HasRecipient(QueuedMessage message)
    {
        for (var i = 0; i < message.Recipients.Count; i++)
        {
            var address = message.Recipients[i].Envelope.Address;
            if (!message.Recipients[i].IsFinal
                && (Recipient is null || string.Equals(Recipient, address, StringComparison.OrdinalIgnoreCase))
                && (Domain is null || RouteTable.DomainOf(address).Equals(Domain, StringComparison.OrdinalIgnoreCase)))
            {
                return true;
            }
        }

        return false;
    }
}
