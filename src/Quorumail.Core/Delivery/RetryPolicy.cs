using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>
/// When a recipient is tried again, when it expires, and what a reply therefore means. Pure: time and chance are passed in.
/// All times are milliseconds of cluster time.
/// </summary>
public sealed record RetryPolicy
{
    private static readonly long[] DefaultSchedule =
        [Minutes(1), Minutes(5), Minutes(15), Minutes(30), Minutes(60), Minutes(120), Minutes(240)];

    private static readonly long[] DefaultDestinationSchedule =
        [Minutes(1) / 2, Minutes(1), Minutes(2), Minutes(5), Minutes(10)];

    /// <summary>Waiting time after the first, second … failed attempt; the last repeats. At least one.</summary>
    public IReadOnlyList<long> Schedule { get; init; } = DefaultSchedule;

    /// <summary>
    /// Waiting time of a destination as a whole after it could not be reached once, twice …; the last repeats. At most half
    /// of <see cref="Schedule"/> step by step counts, so that it never delays a lone message.
    /// </summary>
    public IReadOnlyList<long> DestinationSchedule { get; init; } = DefaultDestinationSchedule;

    /// <summary>Waiting times vary by this part of them, either way.</summary>
    public double Jitter { get; init; } = 0.1;

    /// <summary>A message is given up this long after it came. 5 days (RFC 5321 4.5.4.1).</summary>
    public long ExpireAfter { get; init; } = Minutes(5 * 24 * 60);

    /// <summary>The same for a message with the null sender, whose failure nobody hears of. 1 day.</summary>
    public long ExpireNullSenderAfter { get; init; } = Minutes(24 * 60);

    /// <summary>The one delay notice goes out this long after the message came. 4 hours.</summary>
    public long DelayNoticeAfter { get; init; } = Minutes(240);

    /// <summary>When the recipients of this message expire.</summary>
    public long ExpiresAt(QueuedMessage message) =>
        message.EnqueuedAt + (message.ReversePath.Length == 0 ? ExpireNullSenderAfter : ExpireAfter);

    /// <summary>
    /// The next time at which something is to be said of this recipient even if it can't be tried: its delay notice or
    /// its expiry.
    /// </summary>
    public long DeadlineOf(QueuedMessage message, QueuedRecipient recipient)
    {
        var expiresAt = ExpiresAt(message);
        return WantsDelayNotice(message, recipient) ? Math.Min(message.EnqueuedAt + DelayNoticeAfter, expiresAt) : expiresAt;
    }

    /// <summary>Waiting time after a failed attempt.</summary>
    /// <param name="attempt">Its number, from 1.</param>
    /// <param name="random">From 0 inclusive to 1 exclusive.</param>
    public long Wait(int attempt, double random) => Wait(Schedule, attempt, random);

    /// <summary>Waiting time of a destination that could not be reached.</summary>
    /// <param name="failures">How often in a row, from 1.</param>
    /// <param name="random">From 0 inclusive to 1 exclusive.</param>
    public long DestinationWait(int failures, double random) =>
        Math.Min(Wait(DestinationSchedule, failures, random), Wait(Schedule, failures, random) / 2);

    /// <summary>Turns what a transport said into what the log is told.</summary>
    /// <param name="message">As it was when the attempt was planned.</param>
    /// <param name="index">Which recipient.</param>
    /// <param name="attempt">Number of the attempt, from 1.</param>
    /// <param name="reply">What the transport said.</param>
    /// <param name="tried">False if nothing was tried because only a deadline had come: the next attempt stays where it was.</param>
    /// <param name="now">Now.</param>
    /// <param name="random">From 0 inclusive to 1 exclusive; the same for all recipients of an attempt, so that they stay together.</param>
    /// <param name="othersWait">Other recipients of the message are not settled yet: if it has expired, the deadline reports all at once.</param>
    public RecipientResult Judge(
        QueuedMessage message, int index, int attempt, DeliveryReply reply, bool tried, long now, double random, bool othersWait = false)
    {
        var recipient = message.Recipients[index];
        var text = ReplyText.Clean(reply.Text);
        var nextHop = ReplyText.Clean(reply.NextHop, 300);
        var code = ReplyText.EnhancedCode(reply.EnhancedCode, reply.Verdict);
        var failure = message.ReversePath.Length == 0 ? RecipientOutcome.Dropped : RecipientOutcome.Bounced;
        if (reply.Verdict is DeliveryVerdict.Delivered)
        {
            return new RecipientResult(index, RecipientOutcome.Delivered, text, code, nextHop);
        }

        if (reply.Verdict is DeliveryVerdict.Permanent)
        {
            return new RecipientResult(index, failure, text, code, nextHop);
        }

        // A doubt is recorded as one before the message is given up, for it is listed by that.
        var expiresAt = ExpiresAt(message);
        var isExpired = now >= expiresAt;
        if (isExpired && !(tried && (othersWait || reply.Verdict is DeliveryVerdict.InDoubt)))
        {
            var expired = ReplyText.Clean($"delivery time expired; last: {text}");
            return new RecipientResult(index, failure, expired, "4.4.7", nextHop);
        }

        var outcome = reply.Verdict is DeliveryVerdict.InDoubt ? RecipientOutcome.InDoubt : RecipientOutcome.Deferred;
        var next = tried ? now + Wait(attempt, random) : Math.Max(recipient.NextAttemptAt, now);
        var noticed = !isExpired && WantsDelayNotice(message, recipient) && now >= message.EnqueuedAt + DelayNoticeAfter;
        return new RecipientResult(index, outcome, text, code, nextHop, isExpired ? next : Math.Min(next, expiresAt), noticed);
    }

    private static bool WantsDelayNotice(QueuedMessage message, QueuedRecipient recipient) =>
        !recipient.DelayNoticed && message.ReversePath.Length > 0
        && (recipient.Envelope.Notify == DsnNotify.Unspecified || recipient.Envelope.Notify.HasFlag(DsnNotify.Delay));

    private long Wait(IReadOnlyList<long> schedule, int count, double random)
    {
        var step = schedule[Math.Clamp(count, 1, schedule.Count) - 1];
        var spread = (random * 2 - 1) * Jitter;
        return Math.Max(1, (long)(step * (1 + spread)));
    }

    private static long Minutes(int minutes) => minutes * 60_000L;
}
