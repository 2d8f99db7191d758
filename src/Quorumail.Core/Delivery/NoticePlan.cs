using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>A notice that the outcome of an attempt asks for: one for all recipients of a kind.</summary>
/// <param name="Id">Queue id of the notice, derived: the same attempt always gives the same.</param>
/// <param name="Kind">What it reports.</param>
/// <param name="Original">The message that it is about.</param>
/// <param name="Attempt">Number of the attempt.</param>
/// <param name="Recipients">At least one.</param>
public sealed record NoticePlan(
    QueueId Id,
    NoticeKind Kind,
    QueuedMessage Original,
    int Attempt,
    IReadOnlyList<NoticeRecipient> Recipients)
{
    /// <summary>Largest message that is returned whole, in octets (DESIGN 8).</summary>
    public const int MaxFullReturn = 50 * 1024;

    /// <summary>Most octets of the original that its header section is looked for in.</summary>
    public const int MaxHeaders = 64 * 1024;

    /// <summary>Who gets it: the addresses that the original's reverse-path stands for. Empty if nobody reads mail to it: then it is not sent.</summary>
    public IReadOnlyList<string> To { get; init; } = [Original.ReversePath];

    /// <summary>Whether the notice returns the whole message (RFC 3461 4.3): asked for, small enough, and not a mere delay or success.</summary>
    public bool ReturnsWhole =>
        Kind == NoticeKind.Failure && Original.Return == DsnReturn.Full && Original.Size <= MaxFullReturn;

    /// <summary>How many octets from the start of the original's body the composer wants.</summary>
    public int WantedOctets => (int)Math.Min(Original.Size, ReturnsWhole ? MaxFullReturn : MaxHeaders);

    /// <summary>The command that puts the notice into the queue, once its body is durable.</summary>
    /// <param name="size">Octets of the composed notice.</param>
    /// <param name="hash">XxHash128 of it.</param>
    /// <param name="traits">As the composer says.</param>
    /// <param name="holders">Disks that hold it.</param>
    /// <param name="owner">The node that delivers it.</param>
    /// <param name="body">The body itself, if the log is to carry it.</param>
    public EnqueueCommand ToEnqueue(
        long size, ReadOnlyMemory<byte> hash, BodyTraits traits, IReadOnlyList<BodyHolder> holders, string owner, ReadOnlyMemory<byte> body = default) =>
        new(Id, new Envelope("", [.. To.Select(static address => new EnvelopeRecipient(address, DsnNotify.Never))], DsnReturn.Headers),
            size, traits, hash, holders, owner, Original.Tenant)
        {
            Body = body,
        };
}
