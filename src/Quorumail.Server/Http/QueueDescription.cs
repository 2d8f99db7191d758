using System.Text.Json;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Http;

/// <summary>Messages, suspects, suspensions and removals as the administration interface shows them.</summary>
internal static class QueueDescription
{
    /// <summary>Recipients that a list shows of a message; one message by itself is shown with all of them.</summary>
    public const int MaxListedRecipients = 100;

    /// <summary>A message in a list.</summary>
    public static object Brief(QueuedMessage message, WaitReasons reasons) => Describe(
        message, reasons.Now, message.Recipients.Take(MaxListedRecipients).Select(recipient => Brief(recipient, reasons.Of(message, recipient))));

    /// <summary>All that is known of a message.</summary>
    public static object Full(QueuedMessage message, WaitReasons reasons) => Describe(
        message,
        reasons.Now,
        message.Recipients.Select(recipient => Full(recipient, reasons.Of(message, recipient), reasons.IsSuspended(message, recipient))));

    /// <summary>A suspect.</summary>
    public static object Describe(ListedSuspect listed) => new
    {
        sequence = listed.Sequence,
        id = listed.Suspect.Id.ToString(),
        recipient = listed.Suspect.Recipient,
        attempt = listed.Suspect.Attempt,
        reason = NameOf(listed.Suspect.Reason),
        listed_at = Time(listed.Suspect.ListedAt),
        detail = listed.Suspect.Detail,
    };

    /// <summary>A suspension.</summary>
    public static object Describe(Suspension suspension) => new
    {
        scope = NameOf(suspension.Scope),
        name = suspension.Name,
        reason = suspension.Reason,
        since = Time(suspension.Since),
        expires_at = TimeOrNull(suspension.ExpiresAt),
    };

    /// <summary>A removed message.</summary>
    public static object Describe(Removal removal) => new
    {
        sequence = removal.Sequence,
        id = removal.Id.ToString(),
        from = removal.ReversePath,
        recipients = removal.Recipients,
        in_doubt = removal.InDoubt,
        removed_at = Time(removal.RemovedAt),
        reason = removal.Reason,
    };

    /// <summary>How many messages wait for a domain, and why nothing is begun for it.</summary>
    public static object Describe(DomainCounts counts, WaitReason? reason) => new
    {
        domain = counts.Domain,
        total = counts.Total,
        pending = counts.Queued,
        processing = counts.Attempting,
        retry = counts.Deferred,
        held = counts.Held,
        waits_for = reason?.For,
        waits_until = TimeOrNull(reason?.Until ?? 0),
        waits_because = reason?.Because,
    };

    /// <summary>The name of a reason in JSON and on the command line.</summary>
    public static string NameOf(SuspectReason reason) => reason switch
    {
        SuspectReason.NoReplyAfterDot => "no-reply-after-dot",
        SuspectReason.OwnerLost => "owner-lost",
        SuspectReason.Answered451 => "answered-451",
        SuspectReason.Unread250 => "250-unread",
        _ => reason.ToString(),
    };

    /// <summary>A time; null for none.</summary>
    public static DateTimeOffset? TimeOrNull(long milliseconds) => milliseconds > 0 ? Time(milliseconds) : null;

    private static string NameOf(SuspensionScope scope) => scope == SuspensionScope.Sender ? "sender" : "domain";

    /// <summary>The name of what has no name of its own in JSON.</summary>
    public static string NameOf<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString());

    private static object Describe(QueuedMessage message, long now, IEnumerable<object> recipients)
    {
        var open = message.Recipients.FirstOrDefault(r => !r.IsFinal) ?? message.Recipients[0];
        return new
        {
            id = message.Id.ToString(),
            from = message.ReversePath,
            to = open.Envelope.Address,
            status = QueueFilter.NameOf(message.State),
            held = message.IsHeld,
            attempts = message.Recipients.Max(r => r.Attempts),
            next_retry_at = TimeOrNull(message.Recipients.Where(r => r.IsWaiting && r.NextAttemptAt > 0).Select(r => r.NextAttemptAt).DefaultIfEmpty(0).Min()),
            last_error = ErrorOf(open),
            size = message.Size,
            created_at = Time(message.EnqueuedAt),
            age_seconds = Math.Max(0, now - message.EnqueuedAt) / 1000,
            owner = message.Owner,
            epoch = message.Epoch,
            tenant = message.Tenant,
            envelope_id = message.EnvelopeId,
            dsn_return = NameOf(message.Return),
            traits = Flags(message.Traits),
            body_hash = Convert.ToHexStringLower(message.BodyHash.Span),
            holders = message.Holders.Select(holder => new { node = holder.Node, incarnation = holder.Incarnation }),
            recipient_count = message.Recipients.Count,
            recipients,
        };
    }

    private static object Brief(QueuedRecipient recipient, WaitReason? reason) => new
    {
        to = recipient.Envelope.Address,
        status = NameOf(recipient.State),
        attempts = recipient.Attempts,
        next_retry_at = NextRetry(recipient),
        last_error = ErrorOf(recipient),
        next_hop = recipient.LastResult?.NextHop,
        waits_for = reason?.For,
        waits_until = TimeOrNull(reason?.Until ?? 0),
        waits_because = reason?.Because,
    };

    private static object Full(QueuedRecipient recipient, WaitReason? reason, bool isSuspended) => new
    {
        to = recipient.Envelope.Address,
        status = NameOf(recipient.State),
        attempts = recipient.Attempts,
        next_retry_at = NextRetry(recipient),
        last_error = ErrorOf(recipient),
        next_hop = recipient.LastResult?.NextHop,
        waits_for = reason?.For,
        waits_until = TimeOrNull(reason?.Until ?? 0),
        waits_because = reason?.Because,
        open_attempt = recipient.OpenAttempt,
        suspended = isSuspended && !recipient.IsFinal,
        last_outcome = recipient.LastResult is { } result ? NameOf(result.Outcome) : null,
        last_reply = recipient.LastResult?.Reply,
        last_status = recipient.LastResult?.EnhancedCode,
        delay_noticed = recipient.DelayNoticed,
        notify = Flags(recipient.Envelope.Notify),
        original_recipient = recipient.Envelope.OriginalRecipient,
    };

    private static DateTimeOffset? NextRetry(QueuedRecipient recipient) => recipient.IsFinal ? null : TimeOrNull(recipient.NextAttemptAt);

    private static string? ErrorOf(QueuedRecipient recipient) =>
        recipient.LastResult is { Outcome: not RecipientOutcome.Delivered } result ? result.Reply : null;

    private static IEnumerable<string> Flags<T>(T flags)
        where T : struct, Enum =>
        Enum.GetValues<T>().Where(flag => !EqualityComparer<T>.Default.Equals(flag, default) && flags.HasFlag(flag))
            .Select(NameOf);

    private static DateTimeOffset Time(long milliseconds) => DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);
}
