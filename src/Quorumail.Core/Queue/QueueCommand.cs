using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>A change to the queue, as it stands in the replicated log. Applying the same commands in the same order gives the same queue.</summary>
public abstract record QueueCommand
{
    private protected QueueCommand()
    {
    }
}

/// <summary>Takes responsibility for a message whose body is durable already, or comes with it. Its commit is what 250 means.</summary>
/// <param name="Id">New in the queue; a collision is refused.</param>
/// <param name="Envelope">At least one recipient.</param>
/// <param name="Size">Octets of the stored message.</param>
/// <param name="Traits">What was seen in the message.</param>
/// <param name="BodyHash">XxHash128 of the stored message, 16 bytes.</param>
/// <param name="Holders">Nodes whose disks hold the body, the accepting node first. In a cluster not looked at if the log carries the body.</param>
/// <param name="Owner">The node that delivers.</param>
/// <param name="Tenant">Empty for the default tenant.</param>
public sealed record EnqueueCommand(
    QueueId Id,
    Envelope Envelope,
    long Size,
    BodyTraits Traits,
    ReadOnlyMemory<byte> BodyHash,
    IReadOnlyList<BodyHolder> Holders,
    string Owner,
    string Tenant = "") : QueueCommand
{
    /// <summary>
    /// The body as a node stores it, if it is small enough for the log to carry it; else empty. Whoever has the entry has the
    /// body: members that are not down count as its holders.
    /// </summary>
    public ReadOnlyMemory<byte> Body { get; init; }
}

/// <summary>
/// Gives up an id whose Enqueue may still come: whichever of the two applies first wins. If this one, the body is freed
/// and the Enqueue refused; if the Enqueue, this is refused (<see cref="ApplyStatus.Conflict"/>) and the message stays.
/// </summary>
public sealed record AbandonCommand(QueueId Id) : QueueCommand;

/// <summary>
/// The client was answered 451 because the outcome was unknown. A later Enqueue is refused; one that applied already is
/// removed if no attempt has started, else it is listed as a suspect (<see cref="SuspectReason.Answered451"/>), also if it
/// has come to its end meanwhile.
/// </summary>
public sealed record WithdrawCommand(QueueId Id) : QueueCommand;

/// <summary>The 250 could not be written, so that the client may send the message again.</summary>
public sealed record ReportUnreadReplyCommand(QueueId Id) : QueueCommand;

/// <summary>
/// A transaction for these recipients may now send its final dot, if Apply accepts. <paramref name="Recipients"/> are
/// indexes into the envelope's list; <paramref name="Attempt"/> must be higher than any attempt of theirs before.
/// Refused if the epoch is stale, or a recipient is final or has an open attempt.
/// </summary>
public sealed record AttemptStartedCommand(
    QueueId Id,
    long Epoch,
    int Attempt,
    IReadOnlyList<int> Recipients) : QueueCommand;

/// <summary>
/// The outcome of an attempt, per recipient, with the notices that the outcome asks for (enqueued in the same step; their
/// bodies are durable before). For recipients whose accepted attempt is open, begun in the same epoch, it is taken whoever owns the message now. It may also
/// name, alone or together with those, recipients without an open attempt: for deliveries that are idempotent by
/// themselves, for expiry, and for failures before the final dot; for these the epoch must be the present one and the
/// attempt higher than any before. Refused as a whole if any recipient is final already or has another attempt open, or a
/// notice's id is taken; then the notices are given up as by <see cref="AbandonCommand"/>: propose again with other ids.
/// </summary>
public sealed record AttemptEndedCommand(
    QueueId Id,
    long Epoch,
    int Attempt,
    IReadOnlyList<RecipientResult> Results,
    IReadOnlyList<EnqueueCommand> Notices) : QueueCommand;

/// <summary>
/// A node began a new life: what its earlier life had under way is over without a record. The epoch of its messages rises,
/// so that nothing of the earlier life applies any more. In a cluster its open attempts are waited for as after
/// <see cref="NodeDownCommand"/>; standing alone they are in doubt at once, and listed.
/// </summary>
public sealed record OwnerRestartedCommand(string Owner) : QueueCommand;

/// <summary>
/// The wait for the result of a lost owner's attempt is over: its recipients are listed and can be tried again. Refused
/// before that time, from a stale owner, and for recipients that have no such attempt open. An accepted later attempt, or
/// its end, does the same without it.
/// </summary>
public sealed record AttemptGivenUpCommand(
    QueueId Id,
    long Epoch,
    int Attempt,
    IReadOnlyList<int> Recipients) : QueueCommand;
