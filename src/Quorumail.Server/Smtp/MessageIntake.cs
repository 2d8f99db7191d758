using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Log;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Core.Smtp;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Smtp;

/// <summary>
/// Takes responsibility for received messages: body to the disk, then the Enqueue through the log, within a bounded time.
/// What could not be decided in time is answered 451; the queue takes it back. A 250 that the client may not have read is
/// reported to the queue in the background.
/// </summary>
public sealed partial class MessageIntake : IAsyncDisposable
{
    private const int UnreportedMax = 10_000;

    /// <summary>An election passes unseen: the commit waits longer than this for its leader.</summary>
    private static readonly TimeSpan NotReadyGrace = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan ReportPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(2);

    private readonly BodyStore _bodies;
    private readonly StorageHealth _health;
    private readonly IMessageQueue _queue;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Channel<QueueId> _unread = Channel.CreateBounded<QueueId>(
        new BoundedChannelOptions(UnreportedMax) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });

    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _reporting;
    private long _notReadySince;
    private long _drainingSince;

    /// <param name="bodies">Where bodies go.</param>
    /// <param name="health">Whether the disk takes mail.</param>
    /// <param name="queue">The replicated queue.</param>
    /// <param name="time">Paces reports that have to be made again.</param>
    /// <param name="log">Told what the operator should know.</param>
    public MessageIntake(BodyStore bodies, StorageHealth health, IMessageQueue queue, TimeProvider time, ILogger log)
    {
        _bodies = bodies;
        _health = health;
        _queue = queue;
        _time = time;
        _log = log;
        _reporting = ReportAsync(_stopping.Token);
    }

    /// <summary>Why no message is taken now, or null.</summary>
    public SmtpReply? Refusal => IsRefusing ? SmtpReplies.ShuttingDown : !_health.AcceptsMail ? NotStored : null;

    /// <summary>Whether new sessions are refused: the log has not been able to commit for a while, or this node drains.</summary>
    public bool IsRefusing => _queue.IsDraining || NoQuorumFor is not null;

    // A disk that has failed lacks no space: this node is about to stop.
    private SmtpReply NotStored => _health.AcceptsMail || _health.Failure is not null ? SmtpReplies.StorageFailed : SmtpReplies.StorageRefuses;

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
    public void ReportUnread(QueueId id)
    {
        if (!_unread.Writer.TryWrite(id))
        {
            LogUnreported(_log, id);
        }
    }

    /// <summary>Makes the reports that are due, for a bounded time.</summary>
    public async ValueTask DisposeAsync()
    {
        _unread.Writer.TryComplete();
        try
        {
            await _reporting.WaitAsync(StopPatience, _time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            await _stopping.CancelAsync();
            await _reporting;
        }

        _stopping.Dispose();
    }

    private async Task ReportAsync(CancellationToken token)
    {
        await foreach (var id in _unread.Reader.ReadAllAsync(CancellationToken.None))
        {
            try
            {
                var command = new ReportUnreadReplyCommand(id);
                while ((await _queue.ProposeAsync(command, token)).Outcome != ProposalOutcome.Applied)
                {
                    await Task.Delay(ReportPause, _time, token);
                }
            }
            catch (Exception failure)
            {
                // Stopped, or the log has failed: the node is going down.
                LogReportFailed(_log, id, failure.Message);
            }
        }
    }

    [LoggerMessage(1, LogLevel.Error, "the body of {id} could not be written: {reason}")]
    private static partial void LogBodyFailed(ILogger log, QueueId id, string reason);

    [LoggerMessage(2, LogLevel.Error, "{id} was answered 250, but the client may not have read it; too many such wait to be listed")]
    private static partial void LogUnreported(ILogger log, QueueId id);

    [LoggerMessage(3, LogLevel.Error, "{id} was answered 250, but the client may not have read it; it can't be listed: {reason}")]
    private static partial void LogReportFailed(ILogger log, QueueId id, string reason);
}
