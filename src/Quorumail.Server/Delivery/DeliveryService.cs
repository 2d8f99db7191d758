using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Delivery.Dns;
using Quorumail.Server.Delivery.Maildir;
using Quorumail.Server.Delivery.Transport;
using Quorumail.Server.Limits;
using Quorumail.Server.Logging;

namespace Quorumail.Server.Delivery;

/// <summary>
/// Delivers what the queue holds. Driven by the queue's state: changes go to the scheduler, the scheduler gives jobs, each job
/// runs to its record. Stopping takes no new jobs, lets those under way end, and cuts them off when the caller's patience ends.
/// </summary>
internal sealed partial class DeliveryService : IHostedService, IAsyncDisposable
{
    /// <summary>Changes taken in one go, so that jobs begin while many wait.</summary>
    private const int ChangesAtOnce = 256;

    private static readonly TimeSpan LongestSleep = TimeSpan.FromHours(1);
    private static readonly TimeSpan RecordGrace = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan NotReadyWait = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly IDeliveryQueue _queue;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly DeliverySettings _settings;
    private readonly DeliveryScheduler _scheduler;
    private readonly ConnectionPool _pool;
    private readonly EightBitConverter _converter = new();
    private readonly MaildirCommitter _committer = new();
    private readonly SmtpTransport _smtp;
    private readonly MaildirTransport _maildir;
    private readonly AttemptRecorder _recorder;
    private readonly ILogger _mailLog;
    private readonly CancellationTokenSource _abort = new();
    private readonly CancellationTokenSource _giveUp = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<Exception> _broken = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITimer _wake;
    private long _wakeAt = long.MaxValue;
    private Task _watching = Task.CompletedTask;
    private int _running;
    private bool _isStopping;

    public DeliveryService(
        DeliverySettings settings, IDeliveryQueue queue, DestinationLimits limits, IDnsLookup dns, TimeProvider time, ILoggerFactory loggers, Random random)
    {
        _settings = settings;
        _queue = queue;
        _time = time;
        _log = loggers.CreateLogger("delivery");
        _mailLog = loggers.CreateLogger(MailLog.Category);
        var policy = new TargetPolicy(settings.HostName, settings.OwnPorts);
        _scheduler = new DeliveryScheduler(settings.Routes, settings.Retry, settings.Limits, queue.NodeId);
        _pool = new ConnectionPool(time);
        _smtp = new SmtpTransport(
            new MxResolver(dns, policy, random.Next),
            new SmtpConnector(settings.HelloName, policy, settings.ClientLimits, time, loggers.CreateLogger<SmtpConnector>()),
            limits, _pool, _converter, queue, settings.Downgrade8Bit, time, _mailLog);
        _maildir = new MaildirTransport(queue, _committer, settings.MailboxOf);
        Random = random.NextDouble;
        _recorder = new AttemptRecorder(
            queue, new NoticeWriter(queue, settings.Retry, settings.HostName, time), settings, time, Random, _mailLog, _log);
        _wake = time.CreateTimer(static service => ((DeliveryService)service!).Wake(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Failed = FirstFailureAsync(_committer.Failed, _broken.Task);
    }

    /// <summary>Completes, with the error, when the disk of the Maildirs has failed, or delivery itself by a defect: the node must stop.</summary>
    public Task<Exception> Failed { get; }

    /// <summary>Jobs under way.</summary>
    public int ActiveJobs
    {
        get
        {
            lock (_gate)
            {
                return _scheduler.ActiveJobs;
            }
        }
    }

    private Func<double> Random { get; }

    /// <summary>Why this node begins nothing more for an address now; null: for no reason of its destination.</summary>
    public DestinationRest? RestOf(string address)
    {
        lock (_gate)
        {
            return _scheduler.RestOf(address, _queue.ClusterTime);
        }
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _watching = WatchAsync(_queue.Changes, _stop.Token);
        return Task.CompletedTask;
    }

    /// <summary>Takes no new jobs and waits for those under way; when the token ends they are cut off and recorded as far as that goes quickly.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            _isStopping = true;
            if (_running == 0)
            {
                _idle.TrySetResult();
            }
        }

        await _stop.CancelAsync();
        await _watching;
        try
        {
            await _idle.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            LogCutOff(_log, ActiveJobs);
            await _abort.CancelAsync();
            _giveUp.CancelAfter(RecordGrace);
            await _idle.Task;
        }

        await _pool.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_idle.Task.IsCompleted)
        {
            using var now = new CancellationTokenSource();
            await now.CancelAsync();
            await StopAsync(now.Token);
        }

        await _wake.DisposeAsync();
        _committer.Dispose();
        _converter.Dispose();
        _abort.Dispose();
        _giveUp.Dispose();
        _stop.Dispose();
    }

    private async Task WatchAsync(ChannelReader<QueueChange> changes, CancellationToken token)
    {
        try
        {
            while (await changes.WaitToReadAsync(token))
            {
                lock (_gate)
                {
                    for (var i = 0; i < ChangesAtOnce && changes.TryRead(out var change); i++)
                    {
                        if (change.SuspensionsChanged)
                        {
                            _scheduler.Suspend(_queue.Suspensions);
                        }
                        else if (change.Message is { } message)
                        {
                            _scheduler.Observe(message);
                        }
                        else
                        {
                            _scheduler.Forget(change.Id);
                        }
                    }
                }

                Dispatch();
            }
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // Stopping.
        }
        catch (Exception error)
        {
            Break(error);
        }
    }

    private void Wake()
    {
        try
        {
            lock (_gate)
            {
                _wakeAt = long.MaxValue;
            }

            Dispatch();
        }
        catch (Exception error)
        {
            Break(error);
        }
    }

    /// <summary>Without what keeps it going nothing would be delivered any more, and nobody told: the node stops.</summary>
    private void Break(Exception error) => _broken.TrySetResult(new InvalidOperationException(
        "delivery has stopped by a defect of the program; start the server again, its queue is kept, and report what follows", error));

    private static async Task<Exception> FirstFailureAsync(Task<Exception> disk, Task<Exception> broken) => await await Task.WhenAny(disk, broken);

    /// <summary>Begins all jobs that can begin now, and sets the clock for the next.</summary>
    private void Dispatch()
    {
        lock (_gate)
        {
            if (_isStopping)
            {
                return;
            }

            var now = _queue.ClusterTime;
            if (!_queue.IsReady)
            {
                SetClock(now + (long)NotReadyWait.TotalMilliseconds, now);
                return;
            }

            while (_scheduler.TryTakeJob(now) is { } job)
            {
                _running++;
                ThreadPool.UnsafeQueueUserWorkItem(
                    static state => _ = state.Service.RunAsync(state.Job), (Service: this, Job: job), preferLocal: true);
            }

            while (_scheduler.TryTakeGivenUp(now) is { } lost)
            {
                _running++;
                ThreadPool.UnsafeQueueUserWorkItem(
                    static state => _ = state.Service.GiveUpAsync(state.Lost), (Service: this, Lost: lost), preferLocal: false);
            }

            if (_scheduler.NextWakeAt is { } next)
            {
                SetClock(next, now);
            }
        }
    }

    /// <summary>Says that a lost owner's result is waited for no more. Whether that was heard, the queue's state tells.</summary>
    private async Task GiveUpAsync(AttemptGivenUpCommand lost)
    {
        try
        {
            using var deadline = new CancellationTokenSource(_settings.ProposalTimeout, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, _abort.Token);
            await _queue.ProposeAsync(lost, either.Token);
        }
        catch (Exception error)
        {
            LogNotGivenUp(_log, lost.Id, error);
        }

        lock (_gate)
        {
            _scheduler.GivenUp(lost.Id, _queue.ClusterTime);
            EndRun();
        }

        Dispatch();
    }

    private void EndRun()
    {
        _running--;
        if (_isStopping && _running == 0)
        {
            _idle.TrySetResult();
        }
    }

    private void SetClock(long at, long now)
    {
        if (at < _wakeAt)
        {
            _wakeAt = at;
            var wait = TimeSpan.FromMilliseconds(Math.Max(1, at - now));
            _wake.Change(wait < LongestSleep ? wait : LongestSleep, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Runs a job, then others of the same destination on the same connection as long as it is their turn.</summary>
    private async Task RunAsync(DeliveryJob first)
    {
        SmtpConnection? connection = null;
        DeliveryJob? job = first;
        while (job is not null)
        {
            var recorded = false;
            try
            {
                var attempt = new DeliveryAttempt(job);
                (connection, var isHeldBack) = await TransportAsync(attempt, connection);
                recorded = !isHeldBack && await RecordAsync(attempt);
            }
            catch (OperationCanceledException) when (_giveUp.IsCancellationRequested)
            {
                // The process ends; the next life finds the message as the log has it.
            }
            catch (Exception error)
            {
                // A job must never be lost, whatever happens: it is offered again.
                LogAttemptFailed(_log, job.Message.Id, error);
            }

            try
            {
                job = Complete(job, recorded, ref connection);
                if (job is null || !recorded)
                {
                    Dispatch();
                }
            }
            catch (Exception error)
            {
                Break(error);
                return;
            }
        }
    }

    /// <summary>Records an attempt, whatever happens: a start whose end is never recorded would keep its message for ever.</summary>
    private async Task<bool> RecordAsync(DeliveryAttempt attempt)
    {
        while (true)
        {
            try
            {
                return await _recorder.RecordAsync(attempt, _giveUp.Token);
            }
            catch (Exception error) when (error is not OperationCanceledException || !_giveUp.IsCancellationRequested)
            {
                LogNotRecorded(_log, attempt.Job.Message.Id, error);
            }

            await Task.Delay(_settings.RecordAgainAfter, _time, _giveUp.Token);
        }
    }

    /// <summary>Ends a job and takes the next one for its connection; without one, the connection goes to the pool.</summary>
    private DeliveryJob? Complete(DeliveryJob job, bool recorded, ref SmtpConnection? connection)
    {
        DeliveryJob? next;
        lock (_gate)
        {
            var now = _queue.ClusterTime;
            if (!recorded)
            {
                ObserveAgain(job.Message.Id);
            }

            _scheduler.Completed(job, recorded, now);
            next = connection is not null && !_isStopping && _queue.IsReady ? _scheduler.TryTakeNext(job, now) : null;
            if (next is null)
            {
                if (connection is not null)
                {
                    _pool.Return(NextHop.Of(job.Destination), connection);
                    connection = null;
                }

                EndRun();
            }
        }

        return next;
    }

    /// <summary>What was refused was planned with an outdated view, perhaps: look at the message as it stands.</summary>
    private void ObserveAgain(QueueId id)
    {
        if (_queue.Find(id) is { } message)
        {
            _scheduler.Observe(message);
        }
        else
        {
            _scheduler.Forget(id);
        }
    }

    /// <summary>Makes the attempt; whatever happens, it can be recorded afterwards: what was sent is in doubt, what was not is deferred.</summary>
    /// <returns>A connection that can be used again, and whether a limit held the attempt back, so that there is nothing to record.</returns>
    private async Task<(SmtpConnection? Connection, bool IsHeldBack)> TransportAsync(DeliveryAttempt attempt, SmtpConnection? connection)
    {
        var isHeldBack = false;
        var start = new AttemptStart(attempt, _queue, _settings.ProposalTimeout, _time);
        try
        {
            (connection, isHeldBack) = await TransportAsync(attempt, start, connection);
        }
        catch (Exception error)
        {
            LogAttemptFailed(_log, attempt.Job.Message.Id, error);
            connection = null;
        }

        try
        {
            await start.SettleAsync();
        }
        catch (Exception error)
        {
            LogAttemptFailed(_log, attempt.Job.Message.Id, error);
        }

        return (connection, isHeldBack);
    }

    private async Task<(SmtpConnection? Connection, bool IsHeldBack)> TransportAsync(DeliveryAttempt attempt, AttemptStart start, SmtpConnection? connection)
    {
        if (attempt.Job.Deadlines is not null)
        {
            return (connection, false);
        }

        var destination = attempt.Job.Destination;
        switch (destination.Route.Transport)
        {
            case RouteTransport.Discard:
                LogAttempt(attempt.Job, "discard");
                attempt.ReplyRest(new DeliveryReply(DeliveryVerdict.Delivered, "discarded", "2.0.0", "discard", DeliveryHandover.Final));
                return (null, false);
            case RouteTransport.Maildir:
                if (_queue.ShortageAt(destination.Route.Path) is { } shortage)
                {
                    // Mail that waits for a mailbox is on the disk already; filed, it would be there twice until the queue has let go of it.
                    attempt.ReplyRest(new DeliveryReply(DeliveryVerdict.Temporary, shortage, "4.3.1", "maildir"));
                    return (null, false);
                }

                if (attempt.NeedsStart)
                {
                    // Another node that took over would file a second copy, on its own disk.
                    start.Begin(_abort.Token);
                    if (!await start.PermitAsync())
                    {
                        attempt.ReplyRest(new DeliveryReply(DeliveryVerdict.Temporary, "the attempt could not be recorded", "4.3.0", ""));
                        return (null, false);
                    }
                }

                LogAttempt(attempt.Job, "maildir");
                await _maildir.DeliverAsync(attempt, _abort.Token);
                return (null, false);
            default:
                var result = await _smtp.DeliverAsync(attempt, start, connection, _abort.Token);
                Note(destination, result);
                return (result.Connection, result.Reach == Reach.HeldBack);
        }
    }

    // Of an attempt by SMTP, the transport does: it knows which host it is made at.
    private void LogAttempt(DeliveryJob job, string relay) => MailLog.Attempt(
        _mailLog, job.Message.Id, job.Message.ReversePath, job.Message.Recipients[job.Recipients[0]].Envelope.Address, job.Recipients.Count, relay, job.Attempt);

    /// <summary>Tells the scheduler what was learned of a destination.</summary>
    private void Note(Destination destination, TransportResult result)
    {
        lock (_gate)
        {
            var now = _queue.ClusterTime;
            if (result.IsLetThrough)
            {
                _scheduler.LetThrough(destination, now);
            }

            switch (result.Reach)
            {
                case Reach.Reached:
                    _scheduler.Reached(destination, now);
                    break;
                case Reach.Unreachable:
                    _scheduler.Unreachable(destination, result.Why!, now, Random());
                    break;
                case Reach.HeldBack:
                    _scheduler.HoldBack(destination, result.HeldUntil);
                    break;
                default:
                    break;
            }
        }
    }

    [LoggerMessage(1, LogLevel.Error, "a delivery of message {Id} failed unexpectedly")]
    private static partial void LogAttemptFailed(ILogger log, QueueId id, Exception error);

    [LoggerMessage(2, LogLevel.Error, "a delivery of message {Id} could not be recorded yet; it is tried again")]
    private static partial void LogNotRecorded(ILogger log, QueueId id, Exception error);

    [LoggerMessage(4, LogLevel.Warning, "that the lost attempt of message {Id} is waited for no more could not be recorded yet; it is tried again")]
    private static partial void LogNotGivenUp(ILogger log, QueueId id, Exception error);

    [LoggerMessage(3, LogLevel.Warning, "{Count} deliveries are cut off: the time to stop is over")]
    private static partial void LogCutOff(ILogger log, int count);
}
