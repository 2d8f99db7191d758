using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>
/// One life of the simulated server, from its start to its crash: the real queue state, fed by the model log, and the
/// handing over of clients' messages. What it holds is lost with it, but for the disk.
/// </summary>
internal sealed class ModelServer : ModelNode
{
    public const string NodeName = "node";

    private readonly QueueState _state;
    private readonly List<QueueChanges> _unwritten = [];
    private readonly Queue<QueueChange> _feed = new();
    private readonly ModelDelivery _delivery;
    private long _lastIdTime;

    public ModelServer(Simulator simulator, ModelLog log, ModelDisk disk, Oracle oracle, ModelNextHops hops, PlantedFault fault)
        : base(NodeName, simulator, oracle, disk, fault)
    {
        Log = log;
        _state = disk.Records.Read(Oracle.Limits);
        foreach (var (command, stamp) in log.Committed.Skip(disk.FlushedCount))
        {
            Apply(command, stamp);
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

    public ModelLog Log { get; }

    public override QueueState State => _state;

    public override bool IsAlive => ReferenceEquals(Log.Server, this);

    /// <summary>Takes mail and delivers.</summary>
    public bool IsReady { get; private set; }

    public override void After(long milliseconds, Action action) => Simulator.After(milliseconds, () =>
    {
        if (IsAlive)
        {
            action();
        }
    });

    public override void Propose(QueueCommand command, Action<ApplyStatus?> answer) => Log.Propose(this, command, answer);

    public override void Store(IReadOnlyList<NoticePlan> notices, Action<IReadOnlyList<EnqueueCommand>> stored)
    {
        foreach (var notice in notices)
        {
            Disk.Write(notice.Id, new ModelBody(null, notice));
        }

        After(notices.Count == 0 ? 0 : Simulator.Between(1, 20), () =>
        {
            foreach (var notice in notices)
            {
                Disk.Sync(notice.Id);
            }

            stored([.. notices.Select(n => n.ToEnqueue(1000, new byte[16], BodyTraits.None, [new BodyHolder(Name, 1)], Name))]);
        });
    }

    /// <summary>A command of the log commits; the answer is this node's.</summary>
    public ApplyStatus? Committed(QueueCommand command, long stamp)
    {
        var status = Apply(command, stamp);
        _unwritten[^1].Messages.ForEach(_feed.Enqueue);
        if (IsReady && _feed.Count > 0)
        {
            After(Simulator.Between(0, 20), Feed);
        }

        if (Simulator.Chance(3))
        {
            Disk.Flush(_state, _unwritten, Log.Committed.Count);
        }

        return status;
    }

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

    private ApplyStatus Apply(QueueCommand command, long stamp)
    {
        var changes = new QueueChanges();
        var status = _state.Apply(command, stamp, changes);
        changes.ReleasedBodies.ForEach(Disk.Delete);
        _unwritten.Add(changes);
        return status;
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
