using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>
/// One life of a node of a cluster: it accepts mail and keeps it on enough disks, follows the log at its own pace, and
/// delivers what it owns. It may be stopped for a while, or be cut off from the other nodes, and not know it.
/// </summary>
internal sealed class ClusterServer : ModelNode
{
    private const int CopyTimeout = 10_000;

    private readonly ClusterLog _log;
    private readonly QueueState _state;
    private readonly List<QueueChanges> _unwritten = [];
    private readonly Queue<QueueChange> _feed = new();
    private readonly List<Action> _stopped = [];
    private readonly ModelDelivery _delivery;
    private readonly List<QueueId> _orphans;
    private readonly ModelClock _clock;
    private int _applied;
    private long _lastIdTime;
    private bool _isStopped;
    private bool _isCutOff;

    public ClusterServer(string name, ClusterLog log, ModelDisk disk, Simulator simulator, Oracle oracle, ModelNextHops hops, PlantedFault fault)
        : base(name, simulator, oracle, disk, fault)
    {
        _log = log;
        if (log.Committed.Count > disk.FlushedCount + 5 && log.Servers.Values.FirstOrDefault(s => s.IsReachable) is { } sender && simulator.Chance(20))
        {
            // It was away for longer than the others keep the log: who sends the queue has on its disk what it has forgotten.
            simulator.Record("snapshot", (name, disk.FlushedCount, log.Committed.Count));
            sender.CatchUp();
            sender.Flush();
            disk.TakeSnapshot(oracle.State, log.Committed.Count);
        }

        _state = disk.Records.Read(Oracle.Limits);
        _applied = disk.FlushedCount;
        _clock = new ModelClock(simulator, log.TimeFor(this));
        _delivery = new ModelDelivery(this, hops);
        _orphans = [.. disk.Bodies.Keys];
        log.Servers[name] = this;
        CatchUp();
        disk.Life += fault == PlantedFault.KeepsItsLife && disk.Life > 0 ? 0 : 1;
        simulator.Record("start", (name, disk.Incarnation, disk.Life));
        log.ChangeMembers();
        log.Meet(name);
        BeginLife();
    }

    public override QueueState State => _state;

    public override long ClusterTime => Fault == PlantedFault.DeliversByItsWallClock ? WallTime : _clock.Now;

    /// <summary>What it says that the time is, if it leads.</summary>
    public long Stamp => Fault == PlantedFault.StampsByItsWallClock ? WallTime : _clock.Now;

    public override bool IsAlive => _log.Servers.TryGetValue(Name, out var present) && ReferenceEquals(present, this);

    /// <summary>Takes mail and delivers.</summary>
    public bool IsReady { get; private set; }

    /// <summary>Whether the other nodes hear of it.</summary>
    public bool IsReachable => IsAlive && !_isStopped && !_isCutOff;

    private long WallTime => Simulator.Now + Disk.WallError;

    public override void After(long milliseconds, Action action) => Simulator.After(milliseconds, () =>
    {
        if (!IsAlive)
        {
            return;
        }

        if (_isStopped)
        {
            _stopped.Add(action);
        }
        else
        {
            action();
        }
    });

    public override void Propose(QueueCommand command, Action<ApplyStatus?> answer) => _log.Propose(this, command, answer);

    /// <summary>SIGSTOP: nothing happens in it for a while, then everything that should have.</summary>
    public void Stop(long milliseconds)
    {
        _isStopped = true;
        _log.Miss(Name);
        Simulator.After(milliseconds, () =>
        {
            if (IsAlive)
            {
                _isStopped = false;
                _log.Meet(Name);
                _stopped.ForEach(action => After(Simulator.Between(0, 5), action));
                _stopped.Clear();
            }
        });
    }

    /// <summary>Its network to the other nodes is gone for a while; the next hops are still there.</summary>
    public void CutOff(long milliseconds)
    {
        _isCutOff = true;
        _log.Miss(Name);
        Simulator.After(milliseconds, () =>
        {
            _isCutOff = false;
            _log.Meet(Name);
            After(0, CatchUp);
        });
    }

    /// <summary>Applies what has been committed, as far as it hears of it.</summary>
    public void CatchUp()
    {
        if (_isCutOff || _isStopped)
        {
            return;
        }

        for (; _applied < _log.Committed.Count; _applied++)
        {
            var (command, stamp, expected) = _log.Committed[_applied];
            var changes = new QueueChanges();
            var status = _state.Apply(command, stamp, changes);
            _clock.Applied(Fault == PlantedFault.IgnoresStamps ? 0 : stamp);
            if (status != expected)
            {
                throw new BrokenPromiseException($"{command.GetType().Name} was answered {status} by {Name} and {expected} elsewhere");
            }

            changes.CarriedBodies.ForEach(carried => Disk.Carry(carried.Id, _log.Bodies[carried.Id]));
            changes.ReleasedBodies.ForEach(Disk.Delete);
            changes.Messages.ForEach(_feed.Enqueue);
            if (Fault != PlantedFault.MissesMoves)
            {
                changes.Moved.ForEach(move => _feed.Enqueue(new QueueChange(move.Message.Id, move.Message)));
            }

            if (changes.Suspensions.Count > 0)
            {
                _feed.Enqueue(new QueueChange(default, null) { SuspensionsChanged = true });
            }

            _unwritten.Add(changes);
        }

        if (IsReady && _feed.Count > 0)
        {
            After(Simulator.Between(0, 20), Feed);
        }

        if (Simulator.Chance(3))
        {
            Flush();
        }
    }

    /// <summary>Takes a client's message; <paramref name="answer"/> is not called if this life ends before.</summary>
    public void Accept(Envelope envelope, Action<SubmissionAnswer> answer)
    {
        _lastIdTime = Math.Max(Simulator.Now, Math.Max(_state.IdFloor, _lastIdTime) + 1);
        var submission = new Submission(QueueId.Create(_lastIdTime, (uint)Simulator.Random.Next()), envelope);
        Oracle.Submitted(submission);
        if (Simulator.Chance(50))
        {
            Enqueue(submission, [], answer, Carry(submission.Id, new ModelBody(submission, null)));
            return;
        }

        Spread(submission.Id, new ModelBody(submission, null), holders =>
        {
            if (holders is null)
            {
                Refuse(submission, answer);
            }
            else
            {
                Enqueue(submission, holders, answer);
            }
        });
    }

    public override void Store(IReadOnlyList<NoticePlan> notices, Action<IReadOnlyList<EnqueueCommand>> stored) =>
        Store(notices, [], stored);

    /// <summary>Copies a body that this node has to another one, and tells the log.</summary>
    public void CopyTo(ClusterServer target, QueueId id) => After(Simulator.Between(5, 500), () =>
    {
        if (IsReachable && target.IsReachable && Disk.Find(id) is { } body)
        {
            target.Disk.Write(id, body);
            target.Disk.Sync(id);
            var holder = new BodyHolder(target.Name, target.Disk.Incarnation);
            target.ProposeUntilKnown(new HoldersChangedCommand([id], holder, true), () =>
            {
                // It may have come to its end meanwhile.
                target.CatchUp();
                if (!target.State.TryGet(id, out _))
                {
                    target.ProposeUntilKnown(new AbandonCommand(id));
                }
            });
        }
    });

    private void Flush() => Disk.Flush(_state, _unwritten, _applied);

    private void BeginLife()
    {
        if (_state.Members?.IsCurrent(new BodyHolder(Name, Disk.Incarnation)) != true)
        {
            After(300, () =>
            {
                CatchUp();
                BeginLife();
            });
            return;
        }

        Propose(new NodeUpCommand(Name, Disk.Incarnation, Disk.Life), status =>
        {
            CatchUp();
            if (_state.Members.Find(Name)?.Life == Disk.Life)
            {
                Begin();
            }
            else
            {
                After(Simulator.Between(100, 1000), BeginLife);
            }
        });
    }

    private void Begin()
    {
        IsReady = true;
        _feed.Clear();
        _delivery.Observe(new QueueChange(default, null) { SuspensionsChanged = true });
        foreach (var message in _state.Messages.OrderBy(m => m.Id))
        {
            _delivery.Observe(new QueueChange(message.Id, message));
        }

        _delivery.Pump();
        foreach (var id in Disk.Retractions)
        {
            Retract(id);
        }

        if (Disk.IsUnchecked)
        {
            SayWhatIsLacking();
        }

        // Bodies that an earlier life stored and nobody came to enqueue.
        foreach (var id in _orphans.Where(id => Disk.Bodies.ContainsKey(id) && !_state.TryGet(id, out _)))
        {
            ProposeUntilKnown(new AbandonCommand(id));
        }
    }

    /// <summary>Bodies that came in the log while another node's records were taken over.</summary>
    private void SayWhatIsLacking()
    {
        var self = new BodyHolder(Name, Disk.Incarnation);
        QueueId[] lacking = [.. _state.Messages.Where(m => m.Holders.Contains(self) && Disk.Find(m.Id) is null).Select(m => m.Id).Order()];
        if (lacking.Length == 0 || Fault == PlantedFault.ForgetsWhatItLacks)
        {
            Disk.IsUnchecked = false;
        }
        else
        {
            ProposeUntilKnown(new HoldersChangedCommand(lacking, self, Added: false), () => Disk.IsUnchecked = false);
        }
    }

    public override ModelBody? Fetch(QueueId id) => !Disk.IsUnchecked
        ? null
        : _log.Servers.Values.Where(s => s != this && s.IsReachable && IsReachable).Select(s => s.Disk.Find(id)).FirstOrDefault(body => body is not null);

    private void Feed()
    {
        while (_feed.TryDequeue(out var change))
        {
            _delivery.Observe(change);
        }

        _delivery.Pump();
    }

    private void Store(IReadOnlyList<NoticePlan> left, EnqueueCommand[] done, Action<IReadOnlyList<EnqueueCommand>> stored)
    {
        if (left.Count == 0)
        {
            After(0, () => stored(done));
            return;
        }

        if (Simulator.Chance(50))
        {
            var carried = Carry(left[0].Id, new ModelBody(null, left[0]));
            Store([.. left.Skip(1)], [.. done, left[0].ToEnqueue(1000, new byte[16], BodyTraits.None, [], Name, carried)], stored);
            return;
        }

        Spread(left[0].Id, new ModelBody(null, left[0]), holders =>
        {
            if (holders is null)
            {
                After(Simulator.Between(1000, 5000), () => Store(left, done, stored));
            }
            else
            {
                Store([.. left.Skip(1)], [.. done, left[0].ToEnqueue(1000, new byte[16], BodyTraits.None, holders, Name)], stored);
            }
        });
    }

    /// <summary>Puts a body on this disk and on others until there are enough; null if there are not in time.</summary>
    private void Spread(QueueId id, ModelBody body, Action<IReadOnlyList<BodyHolder>?> done)
    {
        var holders = new List<BodyHolder>();
        var isDone = false;
        Disk.Write(id, body);
        After(Disk.SyncTime(Simulator), () =>
        {
            Disk.Sync(id);
            Held(Name, Disk.Incarnation);
        });
        var peers = _log.Servers.Values.Where(s => s != this).ToArray();
        Simulator.Random.Shuffle(peers);
        foreach (var peer in peers.Take(_log.MinCopies - 1 + Simulator.Random.Next(2)))
        {
            if (Fault == PlantedFault.ClaimsCopies)
            {
                Held(peer.Name, peer.Disk.Incarnation);
            }

            After(Simulator.Between(1, 40), () => Send(peer));
        }

        After(CopyTimeout, () =>
        {
            if (!isDone)
            {
                isDone = true;
                done(null);
            }
        });

        void Send(ClusterServer peer)
        {
            if (IsReachable && peer.IsReachable && !isDone)
            {
                peer.Disk.Write(id, body);
                if (Fault == PlantedFault.WaitsForNoSlowDisk && peer.Disk.IsSlow)
                {
                    Held(peer.Name, peer.Disk.Incarnation);
                }

                peer.After(peer.Disk.SyncTime(Simulator), () =>
                {
                    peer.Disk.Sync(id);
                    var incarnation = peer.Disk.Incarnation;
                    After(Simulator.Between(1, 10), () => Held(peer.Name, incarnation));
                    peer.KeepOrGiveUp(id);
                });
            }
        }

        void Held(string node, long incarnation)
        {
            if (!isDone)
            {
                holders.Add(new BodyHolder(node, incarnation));
                if (holders.Count >= _log.MinCopies)
                {
                    isDone = true;
                    done([.. holders]);
                }
            }
        }
    }

    /// <summary>A copy that nobody has enqueued after a long time, or that came after the end of its message, is given up.</summary>
    private void KeepOrGiveUp(QueueId id) => After(10 * 60_000, () =>
    {
        CatchUp();
        if (Disk.Find(id) is not null && !_state.TryGet(id, out _))
        {
            ProposeUntilKnown(new AbandonCommand(id));
        }
    });

    // Bytes in the command stand for a body in the log.
    private ReadOnlyMemory<byte> Carry(QueueId id, ModelBody body)
    {
        _log.Bodies[id] = body;
        return new byte[1];
    }

    private void Enqueue(
        Submission submission, IReadOnlyList<BodyHolder> holders, Action<SubmissionAnswer> answer, ReadOnlyMemory<byte> body = default)
    {
        var command = new EnqueueCommand(
            submission.Id, submission.Envelope, 1000, BodyTraits.None, new byte[16], holders, Name)
        {
            Body = body,
        };
        Propose(command, status =>
        {
            if (status == ApplyStatus.Accepted)
            {
                Answer(submission, SubmissionAnswer.Taken, answer);
            }
            else
            {
                Refuse(submission, answer);
            }
        });
    }

    private void Refuse(Submission submission, Action<SubmissionAnswer> answer)
    {
        Disk.Retractions.Add(submission.Id);
        Retract(submission.Id);
        Answer(submission, SubmissionAnswer.TryLater, answer);
    }

    private void Retract(QueueId id) => ProposeUntilKnown(new WithdrawCommand(id), () => Disk.Retractions.Remove(id));

    private void Answer(Submission submission, SubmissionAnswer said, Action<SubmissionAnswer> answer)
    {
        submission.Answer = said;
        Simulator.Record("answer", (submission.Id, said));
        answer(said);
    }
}
