using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Log;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Smtp;

/// <summary>
/// Takes responsibility for received messages: body to the disk, then the Enqueue through the log, within a bounded time.
/// What could not be decided in time is answered 451; the queue takes it back. A 250 that the client may not have read is
/// reported to the queue.
/// </summary>
public sealed partial class MessageIntake
{
    /// <summary>An election passes unseen: the commit waits longer than this for its leader.</summary>
    private static readonly TimeSpan NotReadyGrace = TimeSpan.FromSeconds(5);

    private readonly BodyStore _bodies;
    private readonly StorageHealth _health;
    private readonly IMessageQueue _queue;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private long _notReadySince;
    private long _drainingSince;

    /// <param name="bodies">Where bodies go.</param>
    /// <param name="health">Whether the disk takes mail.</param>
    /// <param name="queue">The replicated queue.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">Told what the operator should know.</param>
    public MessageIntake(BodyStore bodies, StorageHealth health, IMessageQueue queue, TimeProvider time, ILogger log)
    {
        _bodies = bodies;
        _health = health;
        _queue = queue;
        _time = time;
        _log = log;
    }

    /// <summary>Why no message is taken now, or null.</summary>
    public SmtpReply? Refusal => IsRefusing ? SmtpReplies.ShuttingDown : !_health.AcceptsMail ? NotStored : null;

    /// <summary>Whether new sessions are refused: the log has not been able to commit for a while, or this node drains.</summary>
    public bool IsRefusing => _queue.IsDraining || NoQuorumFor is not null;

    /// <summary>The answer where the disk does not take a message. One that has failed lacks no space: this node is about to stop.</summary>
    internal SmtpReply NotStored => _health.AcceptsMail || _health.Failure is not null ? SmtpReplies.StorageFailed : SmtpReplies.StorageRefuses;

    /// <summary>How long this node has been draining; null if it isn't.</summary>
    public TimeSpan? DrainingFor
    {
        get
        {
            if (!_queue.IsDraining)
            {
                Volatile.Write(ref _drainingSince, 0);
                return null;
            }

            var now = _time.GetTimestamp();
            var since = Interlocked.CompareExchange(ref _drainingSince, now, 0);
            return since == 0 ? TimeSpan.Zero : _time.GetElapsedTime(since, now);
        }
    }

    /// <summary>How long new sessions have been refused because the log can't commit; null if they are not.</summary>
    public TimeSpan? NoQuorumFor
    {
        get
        {
            if (_queue.IsReady)
            {
                Volatile.Write(ref _notReadySince, 0);
                return null;
            }

            var now = _time.GetTimestamp();
            var since = Interlocked.CompareExchange(ref _notReadySince, now, 0);
            return since != 0 && _time.GetElapsedTime(since, now) is var lacking && lacking >= NotReadyGrace ? lacking - NotReadyGrace : null;
        }
    }

    /// <summary>A new queue id.</summary>
    public QueueId NewId() => _queue.NewId();

    /// <summary>Begins a body.</summary>
    public BodyWriter Begin(QueueId id, long sizeHint) => _bodies.Begin(id, sizeHint);

    /// <summary>Makes a message durable and queued. The body is the intake's from here on.</summary>
    /// <param name="body">Not yet completed.</param>
    /// <param name="envelope">At least one recipient.</param>
    /// <param name="traits">What was seen and declared.</param>
    /// <param name="token">Bounds the waiting.</param>
    public async ValueTask<IntakeOutcome> CommitAsync(BodyWriter body, Envelope envelope, BodyTraits traits, CancellationToken token)
    {
        BodyReceipt receipt;
        try
        {
            var written = body.KeepAsync(token);
            receipt = written.IsCompleted ? await written : await written.AsTask().WaitAsync(token);
        }
        catch (OperationCanceledException)
        {
            // The disk may still finish it: the body is nobody's then.
            await _queue.AbandonAsync(body.Id);
            return new IntakeOutcome(IsQueued: false, SmtpReplies.NotCommitted, MayBeQueued: false);
        }
        catch (StorageException failure)
        {
            LogBodyFailed(_log, body.Id, failure.Message);
            await body.DisposeAsync();
            return new IntakeOutcome(IsQueued: false, NotStored, MayBeQueued: false);
        }

        var proposal = await _queue.EnqueueAsync(body.Id, envelope, receipt, traits, token);
        return new IntakeOutcome(
            proposal.IsAccepted,
            proposal.IsAccepted || proposal.IsLeftOpen ? null : SmtpReplies.NotCommitted,
            proposal.IsAccepted || proposal.Outcome == ProposalOutcome.Unknown);
    }

    /// <summary>Lists a message whose 250 the client may not have read.</summary>
    public async ValueTask ReportUnreadAsync(QueueId id)
    {
        if (!await _queue.ReportUnreadAsync(id))
        {
            LogUnreported(_log, id);
        }
    }

    [LoggerMessage(1, LogLevel.Error, "the body of {id} could not be written: {reason}")]
    private static partial void LogBodyFailed(ILogger log, QueueId id, string reason);

    [LoggerMessage(2, LogLevel.Error, "{id} was answered 250, but the client may not have read it; it can't be listed: the disk has failed, or too many such wait")]
    private static partial void LogUnreported(ILogger log, QueueId id);
}
