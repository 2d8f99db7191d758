using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>One recipient of a queued message. Immutable: a change makes a new one.</summary>
/// <param name="Envelope">Address and delivery status options.</param>
/// <param name="State">Where it stands.</param>
/// <param name="Attempts">Number of the latest attempt, 0 before the first; a batch takes the highest of its recipients' plus one.</param>
/// <param name="OpenAttempt">Number of the open attempt, 0 if none.</param>
/// <param name="NextAttemptAt">Not before this, in milliseconds of cluster time.</param>
/// <param name="LastResult">The latest result, or null before the first.</param>
/// <param name="DelayNoticed">A delay notice has been sent.</param>
public sealed record QueuedRecipient(
    EnvelopeRecipient Envelope,
    RecipientState State,
    int Attempts,
    int OpenAttempt,
    long NextAttemptAt,
    RecipientResult? LastResult,
    bool DelayNoticed)
{
    /// <summary>The epoch in which the open attempt began; with its number it tells the attempt from those of other owners. Meaningless if none is open.</summary>
    public long OpenEpoch { get; init; }

    /// <summary>Whether this attempt, begun in this epoch, is open.</summary>
    public bool HasOpen(int attempt, long epoch) => OpenAttempt == attempt && OpenAttempt > 0 && OpenEpoch == epoch;

    /// <summary>Whether nothing more will happen to this recipient.</summary>
    public bool IsFinal => State is RecipientState.Delivered or RecipientState.Bounced;

    /// <summary>Whether it can be tried, not before <see cref="NextAttemptAt"/>.</summary>
    public bool IsWaiting => State is RecipientState.Queued or RecipientState.OwnerLost;
}
