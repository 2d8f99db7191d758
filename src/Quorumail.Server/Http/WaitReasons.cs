using Quorumail.Core.Delivery;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Http;

/// <summary>Why something is not tried now.</summary>
/// <param name="For">One of <see cref="WaitReasons"/>' words.</param>
/// <param name="Until">When it may go on, in milliseconds of cluster time; 0: that is not known.</param>
/// <param name="Because">In words; null: the word says it all.</param>
internal sealed record WaitReason(string For, long Until, string? Because);

/// <summary>
/// Why recipients and destinations wait, as far as this node knows: holds and suspensions stand in the log, but only the node that delivers a
/// message knows how it fares with a destination.
/// </summary>
internal sealed class WaitReasons
{
    private readonly QueueAdministration _queue;
    private readonly Dictionary<string, Suspension> _destinations = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, Suspension> _senders = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>As the queue is now.</summary>
    public WaitReasons(QueueAdministration queue)
    {
        _queue = queue;
        Now = queue.Time();
        foreach (var suspension in queue.Suspensions().Where(s => s.IsInForce(Now)))
        {
            (suspension.Scope == SuspensionScope.Sender ? _senders : _destinations)[suspension.Name] = suspension;
        }
    }

    /// <summary>Milliseconds of cluster time.</summary>
    public long Now { get; }

    /// <summary>Whether a recipient's destination or its message's sender is suspended.</summary>
    public bool IsSuspended(QueuedMessage message, QueuedRecipient recipient) => SuspensionOf(message, recipient) is not null;

    /// <summary>Why a recipient is not tried now; null if it is being tried, or is final.</summary>
    public WaitReason? Of(QueuedMessage message, QueuedRecipient recipient)
    {
        if (!recipient.IsWaiting)
        {
            return null;
        }

        if (message.IsHeld)
        {
            return new WaitReason("release", 0, "held by an operator");
        }

        if (SuspensionOf(message, recipient) is { } suspension)
        {
            return Describe(suspension);
        }

        if (_queue.IsDown(message.Owner))
        {
            return new WaitReason("node", 0, $"{message.Owner} is down, and no node that is up has a copy");
        }

        if (recipient.State == RecipientState.OwnerLost && recipient.NextAttemptAt > Now)
        {
            return new WaitReason("result", recipient.NextAttemptAt, "the node that tried it was lost; what came of it may still be told");
        }

        var rest = RestOf(recipient.Envelope.Address);
        return rest is not null && rest.Until >= recipient.NextAttemptAt ? rest
            : recipient.NextAttemptAt > Now ? new WaitReason("retry", recipient.NextAttemptAt, null)
            : message.Owner == _queue.NodeId ? new WaitReason("turn", 0, null)
            : new WaitReason("turn", 0, $"{message.Owner} delivers it: ask there");
    }

    /// <summary>Why nothing is begun for a domain now; null: nothing keeps it back, as far as this node knows.</summary>
    public WaitReason? OfDomain(string domain) =>
        _destinations.TryGetValue(domain, out var suspension) ? Describe(suspension) : RestOf("@" + domain);

    private static WaitReason Describe(Suspension suspension) => new(
        "resume",
        suspension.ExpiresAt,
        (suspension.Scope == SuspensionScope.Sender ? "the sender is suspended" : "the destination is suspended")
            + (suspension.Reason.Length > 0 ? $": {suspension.Reason}" : ""));

    private Suspension? SuspensionOf(QueuedMessage message, QueuedRecipient recipient) =>
        _senders.TryGetValue(message.ReversePath, out var sender) ? sender
        : _destinations.Count == 0 ? null
        : _destinations.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(
            RouteTable.DomainOf(recipient.Envelope.Address).TrimEnd('.'), out var destination) ? destination : null;

    private WaitReason? RestOf(string address) => _queue.RestOf(address) switch
    {
        null => null,
        { Failure: { } failure } rest => new WaitReason("destination", rest.Until, $"can't be reached: {ReplyText.Clean(failure.Text)}"),
        var rest => new WaitReason("limit", rest.Until, "a limit of the destination is used up"),
    };
}
