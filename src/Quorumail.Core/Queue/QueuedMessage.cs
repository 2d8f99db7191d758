using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>A message in the queue. Immutable: a change makes a new one, so that readers need no lock.</summary>
/// <param name="Id">Queue id.</param>
/// <param name="ReversePath">Empty for the null sender.</param>
/// <param name="Return">RFC 3461 RET.</param>
/// <param name="EnvelopeId">RFC 3461 ENVID, or null.</param>
/// <param name="Recipients">In envelope order; results and attempts speak of indexes into this list.</param>
/// <param name="Size">Octets of the stored message.</param>
/// <param name="Traits">What was seen in the message.</param>
/// <param name="BodyHash">XxHash128 of the stored message, 16 bytes.</param>
/// <param name="Holders">Disks that hold the body.</param>
/// <param name="Owner">The node that delivers.</param>
/// <param name="Epoch">Rises with every change of owner or owner's life; attempts of an older epoch are refused. After its owner's restart read it again from the state: not every message is reported.</param>
/// <param name="EnqueuedAt">Milliseconds of cluster time.</param>
/// <param name="Tenant">Empty for the default tenant.</param>
public sealed record QueuedMessage(
    QueueId Id,
    string ReversePath,
    DsnReturn Return,
    string? EnvelopeId,
    IReadOnlyList<QueuedRecipient> Recipients,
    long Size,
    BodyTraits Traits,
    ReadOnlyMemory<byte> BodyHash,
    IReadOnlyList<BodyHolder> Holders,
    string Owner,
    long Epoch,
    long EnqueuedAt,
    string Tenant)
{
    /// <summary>The latest epoch given when the message last changed: what it has not seen are the placements after it. 0 when the queue stands alone.</summary>
    public long Placed { get; init; }

    /// <summary>An operator holds it back: no attempt begins.</summary>
    public bool IsHeld { get; init; }

    /// <summary>Where it stands.</summary>
    public MessageState State
    {
        get
        {
            var attempted = false;
            for (var i = 0; i < Recipients.Count; i++)
            {
                if (Recipients[i].OpenAttempt > 0)
                {
                    return MessageState.Attempting;
                }

                attempted |= Recipients[i].Attempts > 0;
            }

            return IsHeld ? MessageState.Held : attempted ? MessageState.Deferred : MessageState.Queued;
        }
    }

    /// <summary>Whether its owner has an attempt under way.</summary>
    public bool IsAttempting
    {
        get
        {
            for (var i = 0; i < Recipients.Count; i++)
            {
                if (Recipients[i].State == RecipientState.Attempting)
                {
                    return true;
                }
            }

            return false;
        }
    }
}
