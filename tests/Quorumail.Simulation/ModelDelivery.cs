using Quorumail.Core.Delivery;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>The delivery worker of one life: the real scheduler and the real attempts, talking to modelled next hops.</summary>
internal sealed class ModelDelivery
{
    private static readonly RouteTable Routes = new(
    [
        new Route { Match = ModelNextHops.Box, Transport = RouteTransport.Maildir },
    ]);

    private readonly ModelNode _server;
    private readonly ModelNextHops _hops;
    private readonly RetryPolicy _policy;
    private readonly DeliveryScheduler _scheduler;
    private long? _wakeAt;

    public ModelDelivery(ModelNode server, ModelNextHops hops)
    {
        _server = server;
        _hops = hops;
        _policy = World.Retry;
        var limits = new DeliveryLimits { Concurrency = 8, DestinationConcurrency = 4, RecipientsPerJob = 2 };
        _scheduler = new DeliveryScheduler(Routes, _policy, limits, _server.Name);
    }

    private Simulator Simulator => _server.Simulator;

    private long Now => _server.ClusterTime;

    public void Observe(QueueChange change)
    {
        if (change.SuspensionsChanged)
        {
            if (_server.Fault != PlantedFault.MissesResumes || _server.State.Suspensions.Any())
            {
                _scheduler.Suspend(_server.State.Suspensions);
            }
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

    /// <summary>Begins every job that can be begun, and comes back when the next may be.</summary>
    public void Pump()
    {
        while (_scheduler.TryTakeJob(Now) is { } job)
        {
            Run(job, connected: false);
        }

        while (_scheduler.TryTakeGivenUp(Now) is { } lost)
        {
            if (_server.Fault == PlantedFault.NeverGivesUp)
            {
                continue;
            }

            _server.Propose(lost, _ =>
            {
                _scheduler.GivenUp(lost.Id, Now);
                Pump();
            });
        }

        if (_scheduler.NextWakeAt is { } wakeAt && (_wakeAt is null || wakeAt < _wakeAt))
        {
            _wakeAt = wakeAt;
            _server.After(Math.Max(0, wakeAt - Now), () =>
            {
                if (_wakeAt == wakeAt)
                {
                    _wakeAt = null;
                    Pump();
                }
            });
        }
    }

    private void Run(DeliveryJob job, bool connected)
    {
        var attempt = new DeliveryAttempt(job);
        if (job.Deadlines is not null)
        {
            Conclude(attempt);
        }
        else if (job.Destination.Route.IsIdempotent)
        {
            _server.After(Simulator.Between(1, 10), () => Store(attempt));
        }
        else
        {
            _server.After(connected ? 1 : Simulator.Between(1, 60), () => Connect(attempt, connected));
        }
    }

    private void Store(DeliveryAttempt attempt)
    {
        if (Body(attempt.Job.Message) is not { } body)
        {
            Conclude(attempt);
            return;
        }

        foreach (var recipient in attempt.Job.Recipients)
        {
            _server.Oracle.Delivered(attempt.Job.Message, recipient, body, isIdempotent: true);
        }

        attempt.ReplyRest(new DeliveryReply(DeliveryVerdict.Delivered, "stored", "2.0.0", "", DeliveryHandover.Final));
        Conclude(attempt);
    }

    private void Connect(DeliveryAttempt attempt, bool connected)
    {
        var destination = attempt.Job.Destination;
        if (!connected && !_hops.IsReachable(destination.Domain))
        {
            var reply = new DeliveryReply(DeliveryVerdict.Temporary, "connection refused", "4.4.1", "");
            _scheduler.Unreachable(destination, reply, Now, Simulator.Random.NextDouble());
            attempt.ReplyRest(reply);
            Conclude(attempt);
            return;
        }

        _scheduler.Reached(destination, Now);
        var taken = new List<int>();
        foreach (var recipient in attempt.Job.Recipients)
        {
            if (_hops.Recipient(destination.Domain) is { } refusal)
            {
                attempt.Reply(recipient, refusal);
            }
            else
            {
                taken.Add(recipient);
            }
        }

        if (taken.Count == 0 || Body(attempt.Job.Message) is not { } body)
        {
            Conclude(attempt);
        }
        else if (_server.Fault == PlantedFault.SendsDotWithoutStart)
        {
            SendDot(attempt, taken, body);
        }
        else
        {
            _server.Propose(attempt.Start(taken), status =>
            {
                if (attempt.Started(status))
                {
                    attempt.SendDot();
                    SendDot(attempt, taken, body);
                }
                else
                {
                    Conclude(attempt);
                }
            });
        }
    }

    private void SendDot(DeliveryAttempt attempt, List<int> recipients, ModelBody body)
    {
        var message = attempt.Job.Message;
        _server.Oracle.CheckDot(message, attempt.Job.Attempt, recipients);

        // The dot travels on, whatever becomes of the server.
        Simulator.After(Simulator.Between(1, 40), () =>
        {
            var reply = _hops.Dot(message, recipients, body, attempt.Job.Destination.Domain);
            if (reply?.Verdict == DeliveryVerdict.Delivered && _server is { Fault: PlantedFault.DeletesBodyEarly, IsAlive: true })
            {
                _server.Disk.Delete(message.Id);
            }

            _server.After(reply is null ? 30_000 : Simulator.Between(1, 40), () =>
            {
                if (reply is not null)
                {
                    recipients.ForEach(recipient => attempt.Reply(recipient, reply));
                }

                Conclude(attempt);
            });
        });
    }

    /// <summary>The body, or null if the message has left the queue meanwhile.</summary>
    private ModelBody? Body(QueuedMessage message)
    {
        if ((_server.Disk.Find(message.Id) ?? _server.Fetch(message.Id)) is { } body)
        {
            return body;
        }

        return !_server.Disk.IsUnchecked && _server.Oracle.IsOwn(_server, message)
            ? throw new BrokenPromiseException($"{message.Id} is in the queue, so its body can be read")
            : null;
    }

    private void Conclude(DeliveryAttempt attempt)
    {
        var conclusion = attempt.Conclude(_policy, Now, Simulator.Random.NextDouble());
        _server.Store(conclusion.Notices, notices => Record(attempt, attempt.Record(notices)));
    }

    private void Record(DeliveryAttempt attempt, AttemptEndedCommand record) =>
        _server.Propose(Spoil(record), status =>
        {
            var step = attempt.Recorded(status, _server.State.TryGet(attempt.Job.Message.Id, out var present) ? present : null);
            switch (step)
            {
                case AttemptStep.ProposeAgain:
                    _server.After(Simulator.Between(100, 3000), () => Record(attempt, record));
                    return;
                case AttemptStep.RenewNotices:
                    Conclude(attempt);
                    return;
                case AttemptStep.Superseded or AttemptStep.RecordedInPart:
                    var id = attempt.Job.Message.Id;
                    Observe(new QueueChange(id, present));
                    break;
            }

            _scheduler.Completed(attempt.Job, step == AttemptStep.Recorded, Now);
            if (attempt.Job.Deadlines is null && Simulator.Chance(50)
                && _scheduler.TryTakeNext(attempt.Job, Now) is { } next)
            {
                Run(next, connected: true);
            }

            Pump();
        });

    private AttemptEndedCommand Spoil(AttemptEndedCommand record) => _server.Fault switch
    {
        PlantedFault.ForgetsDoubt => record with
        {
            Results = [.. record.Results.Select(r =>
                r.Outcome == RecipientOutcome.InDoubt ? r with { Outcome = RecipientOutcome.Deferred } : r)],
        },
        PlantedFault.LosesNotices => record with { Notices = [] },
        _ => record,
    };
}
