using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>
/// One life of the simulated server, from its start to its crash: the real queue state, fed by the model log, and the
/// handing over of clients' messages. What it holds is lost with it, but for the disk.
/// </summary>
internal sealed class ModelServer
{
    public const string Name = "node";

    private readonly QueueState _state;
    private readonly QueueChanges _changes = new();
    private readonly Queue<QueueChange> _feed = new();
    private readonly ModelDelivery _delivery;
    private long _lastIdTime;

    public ModelServer(Simulator simulator, ModelLog log, ModelDisk disk, Oracle oracle, ModelNextHops hops, PlantedFault fault)
    {
        Simulator = simulator;
        Log = log;
        Disk = disk;
        Oracle = oracle;
        Fault = fault;
        _state = QueueState.Restore(disk.Flushed);
        foreach (var (command, stamp) in log.Committed.Skip(disk.FlushedCount))
        {
            _changes.Clear();
            _state.Apply(command, stamp, _changes);
            _changes.ReleasedBodies.ForEach(disk.Delete);
        }

        _delivery = new ModelDelivery(this, hops);
        log.Server = this;
        simulator.Record("start", _state.Count);
        var orphans = disk.Bodies.Keys.Where(id => !_state.TryGet(id, out _)).ToList();
        if (fault == PlantedFault.ForgetsItsRestart)
        {
            Begin(orphans);
        }
        else
        {
            ProposeUntilKnown(new OwnerRestartedCommand(Name), () => Begin(orphans));
        }
    }

    public Simulator Simulator { get; }

    public ModelLog Log { get; }

    public ModelDisk Disk { get; }

    public Oracle Oracle { get; }

    public PlantedFault Fault { get; }

    public QueueState State => _state;

    public bool IsAlive => ReferenceEquals(Log.Server, this);

    /// <summary>Takes mail and delivers.</summary>
    public bool IsReady { get; private set; }

    /// <summary>What happens later in this life, unless it has ended by then.</summary>
    public void After(long milliseconds, Action action) => Simulator.After(milliseconds, () =>
    {
        if (IsAlive)
        {
            action();
        }
    });

    /// <summary>A command of the log commits; the answer is this node's.</summary>
    public ApplyStatus? Committed(QueueCommand command, long stamp)
    {
        _changes.Clear();
        var status = _state.Apply(command, stamp, _changes);
        _changes.ReleasedBodies.ForEach(Disk.Delete);
        _changes.Messages.ForEach(_feed.Enqueue);
        if (IsReady && _feed.Count > 0)
        {
            After(Simulator.Between(0, 20), Feed);
        }

        if (Simulator.Chance(3))
        {
            Disk.Flush(_state, Log.Committed.Count);
        }

        return status;
    }

    public void ProposeUntilKnown(QueueCommand command, Action? then = null) => Log.Propose(this, command, status =>
    {
        if (status is null)
        {
            After(Simulator.Between(100, 3000), () => ProposeUntilKnown(command, then));
        }
        else
        {
            then?.Invoke();
        }
    });

    /// <summary>Takes a client's message; <paramref name="answer"/> is not called if this life ends before.</summary>
    public void Accept(Envelope envelope, Action<SubmissionAnswer> answer)
    {
        _lastIdTime = Math.Max(Simulator.Now, Math.Max(_state.IdFloor, _lastIdTime) + 1);
        var submission = new Submission(QueueId.Create(_lastIdTime, (uint)Simulator.Random.Next()), envelope);
        Oracle.Submitted(submission);
        Disk.Write(submission.Id, new ModelBody(submission, null));
        if (Fault == PlantedFault.EnqueuesBeforeFsync)
        {
            Enqueue(submission, answer);
        }

        After(Simulator.Between(1, 20), () =>
        {
            Disk.Sync(submission.Id);
            if (Fault != PlantedFault.EnqueuesBeforeFsync)
            {
                Enqueue(submission, answer);
            }
        });
    }

    private void Begin(List<QueueId> orphans)
    {
        IsReady = true;
        _feed.Clear();
        foreach (var message in _state.Messages.OrderBy(m => m.Id))
        {
            _delivery.Observe(new QueueChange(message.Id, message));
        }

        _delivery.Pump();
        foreach (var id in Disk.Retractions)
        {
            Retract(id);
        }

        // Bodies that an earlier life stored and did not come to enqueue.
        foreach (var id in orphans.Where(id => !_state.TryGet(id, out _)))
        {
            ProposeUntilKnown(new AbandonCommand(id));
        }
    }

    private void Feed()
    {
        while (_feed.TryDequeue(out var change))
        {
            _delivery.Observe(change);
        }

        _delivery.Pump();
    }

    private void Enqueue(Submission submission, Action<SubmissionAnswer> answer)
    {
        if (Fault == PlantedFault.AcknowledgesBeforeCommit)
        {
            Answer(submission, SubmissionAnswer.Taken, answer);
        }

        var command = new EnqueueCommand(
            submission.Id, submission.Envelope, 1000, BodyTraits.None, new byte[16], [new BodyHolder(Name, 1)], Name);
        Log.Propose(this, command, status =>
        {
            if (submission.Answer != SubmissionAnswer.None)
            {
                return;
            }

            if (status == ApplyStatus.Accepted)
            {
                Acknowledge(submission, answer);
                return;
            }

            if (Fault != PlantedFault.ForgetsToWithdraw)
            {
                Disk.Retractions.Add(submission.Id);
                Retract(submission.Id);
            }

            Answer(submission, SubmissionAnswer.TryLater, answer);
        });
    }

    private void Acknowledge(Submission submission, Action<SubmissionAnswer> answer)
    {
        if (Log.IsFaulty && Simulator.Chance(3))
        {
            ProposeUntilKnown(new ReportUnreadReplyCommand(submission.Id), () => submission.IsReportedUnread = true);
            answer(SubmissionAnswer.None);
        }
        else
        {
            Answer(submission, SubmissionAnswer.Taken, answer);
        }
    }

    private void Retract(QueueId id) =>
        ProposeUntilKnown(new WithdrawCommand(id), () => Disk.Retractions.Remove(id));

    private void Answer(Submission submission, SubmissionAnswer said, Action<SubmissionAnswer> answer)
    {
        submission.Answer = said;
        Simulator.Record("answer", (submission.Id, said));
        answer(said);
    }
}
