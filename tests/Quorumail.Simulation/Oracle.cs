using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>Sees everything and forgets nothing: checks the promises while the run goes on, and all of them at its end.</summary>
internal sealed class Oracle(Simulator simulator)
{
    private readonly QueueState _state = new(Limits);
    private readonly QueueChanges _changes = new();
    private readonly HashSet<(QueueId, int Attempt, int Recipient)> _starts = [];
    private readonly Dictionary<(QueueId, int Recipient), RecipientOutcome> _fates = [];
    private readonly Dictionary<(QueueId, string Recipient), int> _doubts = [];
    private readonly HashSet<(QueueId, SuspectReason)> _listed = [];
    private readonly HashSet<(QueueId, string Recipient, int Attempt)> _open = [];
    private readonly HashSet<QueueId> _released = [];
    private readonly HashSet<QueueId> _held = [];
    private readonly HashSet<QueueId> _removed = [];
    private readonly Dictionary<(SuspensionScope Scope, string Name), long> _suspended = [];
    private readonly HashSet<QueueId> _excused = [];
    private readonly Dictionary<(QueueId, int Recipient), int> _deliveries = [];
    private readonly Dictionary<(QueueId Original, int Recipient), int> _failureNotices = [];
    private readonly Dictionary<(QueueId, int Recipient), bool> _wantsNotice = [];
    private readonly Dictionary<(QueueId, int Recipient), string> _addresses = [];
    private readonly List<Submission> _submissions = [];
    private readonly Dictionary<QueueId, int> _carried = [];
    private readonly Dictionary<(QueueId, int Recipient), (long At, long Wait, long Jumped)> _waits = [];
    private readonly long _start = simulator.Now;
    private long _lastStamp;
    private int _count;

    /// <summary>As small as makes their edges show; the same on all nodes.</summary>
    public static QueueLimits Limits { get; } = new() { MovesPerSave = 1, SaveInterval = 20_000, MaxPlacements = 4 };

    /// <summary>By node.</summary>
    public SortedDictionary<string, ModelDisk> Disks { get; } = new(StringComparer.Ordinal);

    public QueueState State => _state;

    /// <summary>How far wall clocks have moved cluster time forward, in milliseconds, when all nodes had stopped.</summary>
    public long Jumped { get; set; }

    /// <summary>How far cluster time may be from true time apart from that: nodes' clocks are a little fast or slow.</summary>
    private long Skew => (long)(2 * ModelClock.Drift * (simulator.Now - _start)) + 2000;

    /// <summary>For the statistics of a run.</summary>
    public int Doubts => _listed.Count;

    public int Deliveries => _deliveries.Count;

    public IReadOnlyList<Submission> Submissions => _submissions;

    public void Submitted(Submission submission) => _submissions.Add(submission);

    /// <summary>Applies a committed command as every node would.</summary>
    public ApplyStatus Committed(QueueCommand command, long stamp, string? from = null)
    {
        _changes.Clear();
        Check(stamp >= _lastStamp, "cluster time never falls");
        _lastStamp = stamp;
        if (command is AdministerCommand operation)
        {
            RememberOperation(operation);
        }

        QueuedMessage? message = null;
        var owner = command is AttemptStartedCommand begun && _state.TryGet(begun.Id, out message) ? message.Owner : null;
        var isLost = command is AttemptEndedCommand result && _state.TryGet(result.Id, out var waiting)
            ? waiting.Recipients.Select(r => r.State == RecipientState.OwnerLost).ToArray() : [];
        var status = _state.Apply(command, stamp, _changes);
        _count++;
        foreach (var (id, _) in _changes.CarriedBodies)
        {
            _carried[id] = _count;
        }

        simulator.Record(command.GetType().Name, (SubjectOf(command), status));
        Check(
            status != ApplyStatus.Accepted || from is null || owner is null || from == owner,
            $"{from} begins an attempt, so it owns the message");
        foreach (var (_, suspect) in _changes.SuspectsListed)
        {
            Check(
                suspect.Reason != SuspectReason.OwnerLost || _open.Remove((suspect.Id, suspect.Recipient, suspect.Attempt)),
                $"{suspect.Id}/{suspect.Recipient} is listed, so attempt {suspect.Attempt} was open");
            _listed.Add((suspect.Id, suspect.Reason));
            if (suspect.Recipient.Length > 0)
            {
                _doubts[(suspect.Id, suspect.Recipient)] = _doubts.GetValueOrDefault((suspect.Id, suspect.Recipient)) + 1;
            }
        }

        _released.UnionWith(_changes.ReleasedBodies);
        foreach (var (id, changed) in _changes.Messages)
        {
            Check(changed is null || IsDurable(changed), $"{id} is in the queue, so its body is durable");
        }

        if (status == ApplyStatus.Accepted)
        {
            if (command is AttemptStartedCommand start)
            {
                CheckMayStart(start, message!, stamp);
            }

            Remember(command, isLost);
        }

        return status;
    }

    /// <summary>Of these it can't be known any more that they were refused.</summary>
    public void Excuse(IEnumerable<QueueId> ids) => _excused.UnionWith(ids);

    public void CheckDeleted(QueueId id) =>
        Check(_released.Contains(id) && !_state.TryGet(id, out _), $"the body of {id} is deleted only when Apply has released it");

    /// <summary>The dot leaves the server.</summary>
    public void CheckDot(QueuedMessage message, int attempt, IEnumerable<int> recipients)
    {
        foreach (var recipient in recipients)
        {
            Check(_starts.Contains((message.Id, attempt, recipient)), $"no final dot without an accepted start: {message.Id}/{recipient} attempt {attempt}");
        }
    }

    /// <summary>The next hop, or a mailbox, has taken a message for a recipient.</summary>
    public void Delivered(QueuedMessage message, int recipient, ModelBody body, bool isIdempotent)
    {
        var key = (message.Id, recipient);
        var times = _deliveries.GetValueOrDefault(key) + 1;
        _deliveries[key] = times;
        simulator.Record("delivered", key);
        var doubts = _doubts.GetValueOrDefault((message.Id, message.Recipients[recipient].Envelope.Address));
        Check(isIdempotent || times <= 1 + doubts, $"{message.Id}/{recipient} is delivered twice only if it is listed");
        if (body.Notice is { Kind: Core.Delivery.NoticeKind.Failure } notice && times == 1)
        {
            foreach (var failed in notice.Recipients)
            {
                var about = (notice.Original.Id, failed.Result.Recipient);
                _failureNotices[about] = _failureNotices.GetValueOrDefault(about) + 1;
                Check(_failureNotices[about] == 1, $"one notice tells of the failure of {about}");
            }
        }
    }

    /// <summary>There have been no faults for a while: nothing waits for what will not come.</summary>
    public void CheckCalm(long now)
    {
        foreach (var message in _state.Messages)
        {
            Check(
                message.Recipients.All(r => r.State != RecipientState.OwnerLost || r.NextAttemptAt > now - 60_000),
                $"a lost attempt of {message.Id} is given up when its time has come");
        }
    }

    /// <summary>All is over: everything that was acknowledged has come to its end.</summary>
    public void CheckEnd()
    {
        Check(_state.Count == 0, $"the queue drains; {_state.Count} are left");
        foreach (var ((id, recipient), outcome) in _fates)
        {
            var isDelivered = _deliveries.ContainsKey((id, recipient));
            Check(isDelivered || outcome != RecipientOutcome.Delivered, $"{id}/{recipient} is recorded as delivered, so it is");
            Check(
                outcome != RecipientOutcome.Bounced || !_wantsNotice[(id, recipient)] || _failureNotices.ContainsKey((id, recipient)),
                $"the sender of {id}/{recipient} hears that it failed");
        }

        foreach (var submission in _submissions)
        {
            CheckEnd(submission);
        }

        foreach (var (node, disk) in Disks)
        {
            Check(disk.Bodies.Count == 0, $"no body is left behind on {node}: {string.Join(' ', disk.Bodies.Keys)}");
        }
    }

    /// <summary>Whether the queue has the message as its node has it, so that this one must be able to deliver it.</summary>
    public bool IsOwn(ModelNode node, QueuedMessage message) =>
        _state.TryGet(message.Id, out var now) && now.Epoch == message.Epoch && now.Owner == node.Name
        && (_state.Members is null || now.Holders.Contains(new BodyHolder(node.Name, node.Disk.Incarnation)));

    /// <summary>
    /// Every holder that the queue names has the body, or will come to it in the log, unless it has lost its whole disk
    /// meanwhile, or left with it, or is about to say what it lacks.
    /// </summary>
    private bool IsDurable(QueuedMessage message) => message.Holders.All(h =>
        !Disks.TryGetValue(h.Node, out var disk) || (disk.Incarnation != h.Incarnation || disk.IsUnchecked || disk.Bodies.ContainsKey(message.Id)
            || disk.FlushedCount < _carried.GetValueOrDefault(message.Id)));

    private void CheckEnd(Submission submission)
    {
        var id = submission.Id;
        for (var recipient = 0; recipient < submission.Envelope.Recipients.Count; recipient++)
        {
            var isDelivered = _deliveries.ContainsKey((id, recipient));
            Check(
                submission.Answer != SubmissionAnswer.Taken || _fates.ContainsKey((id, recipient)) || _removed.Contains(id),
                $"{id}/{recipient} was acknowledged, so it is delivered, bounced or deleted");
            Check(
                submission.Answer != SubmissionAnswer.TryLater || !isDelivered || _excused.Contains(id) || _listed.Contains((id, SuspectReason.Answered451)),
                $"{id}/{recipient} was refused and delivered all the same, so it is listed");
        }

        Check(
            !submission.IsReportedUnread || _listed.Contains((id, SuspectReason.Unread250)), $"the 250 of {id} was not read, so it is listed");
    }

    private void Remember(QueueCommand command, bool[] isLost)
    {
        switch (command)
        {
            case EnqueueCommand enqueue:
                RememberRecipients(enqueue);
                break;
            case SuspendCommand suspend:
                _suspended[(suspend.Scope, suspend.Name)] = suspend.ExpiresAt == 0 ? long.MaxValue : suspend.ExpiresAt;
                break;
            case ResumeCommand resume:
                _suspended.Remove((resume.Scope, resume.Name));
                break;
            case AttemptStartedCommand started:
                foreach (var recipient in started.Recipients)
                {
                    _starts.Add((started.Id, started.Attempt, recipient));
                    _open.Add((started.Id, _addresses[(started.Id, recipient)], started.Attempt));
                }

                break;
            case AttemptEndedCommand ended:
                foreach (var result in ended.Results)
                {
                    // The end of a lost attempt may come when the new owner has just begun the next one.
                    if (result.Outcome == RecipientOutcome.Deferred && !isLost[result.Recipient])
                    {
                        _waits[(ended.Id, result.Recipient)] = (simulator.Now, result.NextAttemptAt - _lastStamp, Jumped);
                    }

                    _open.Remove((ended.Id, _addresses[(ended.Id, result.Recipient)], ended.Attempt));
                    if (result.Outcome is RecipientOutcome.Delivered or RecipientOutcome.Bounced or RecipientOutcome.Dropped)
                    {
                        Check(_fates.TryAdd((ended.Id, result.Recipient), result.Outcome), $"{ended.Id}/{result.Recipient} ends once");
                    }
                }

                foreach (var notice in ended.Notices)
                {
                    RememberRecipients(notice);
                }

                break;
        }
    }

    private void RememberOperation(AdministerCommand operation)
    {
        foreach (var id in operation.Selection.Ids!.Where(id => _state.TryGet(id, out _)))
        {
            switch (operation.Action)
            {
                case QueueAction.Hold:
                    _held.Add(id);
                    break;
                case QueueAction.Release:
                    _held.Remove(id);
                    break;
                case QueueAction.Requeue:
                    _state.TryGet(id, out var requeued);
                    Enumerable.Range(0, requeued!.Recipients.Count).ToList().ForEach(recipient => _waits.Remove((id, recipient)));
                    break;
                case QueueAction.Delete:
                    _removed.Add(id);
                    break;
            }
        }
    }

    private void CheckMayStart(AttemptStartedCommand start, QueuedMessage message, long stamp)
    {
        Check(!_held.Contains(start.Id), $"{start.Id} is held, so no attempt begins");
        Check(!_removed.Contains(start.Id), $"{start.Id} is deleted, so no attempt begins");
        Check(!IsSuspended(SuspensionScope.Sender, message.ReversePath, stamp), $"the sender of {start.Id} is suspended, so no attempt begins");
        foreach (var recipient in start.Recipients)
        {
            Check(
                !_waits.TryGetValue((start.Id, recipient), out var wait) || simulator.Now - wait.At + Jumped - wait.Jumped >= wait.Wait - Skew,
                $"{start.Id}/{recipient} is not tried again before its time");
            var domain = Core.Delivery.RouteTable.DomainOf(message.Recipients[recipient].Envelope.Address).ToString();
            Check(!IsSuspended(SuspensionScope.Destination, domain, stamp), $"{domain} is suspended, so no attempt begins");
        }
    }

    private bool IsSuspended(SuspensionScope scope, string name, long stamp) =>
        _suspended.TryGetValue((scope, name), out var until) && stamp < until;

    private void RememberRecipients(EnqueueCommand enqueue)
    {
        for (var i = 0; i < enqueue.Envelope.Recipients.Count; i++)
        {
            var notify = enqueue.Envelope.Recipients[i].Notify;
            _addresses[(enqueue.Id, i)] = enqueue.Envelope.Recipients[i].Address;
            _wantsNotice[(enqueue.Id, i)] = !enqueue.Envelope.HasNullSender
                && (notify == DsnNotify.Unspecified || notify.HasFlag(DsnNotify.Failure));
        }
    }

    private static string SubjectOf(QueueCommand command) => command switch
    {
        EnqueueCommand c => c.Id.ToString(),
        AbandonCommand c => c.Id.ToString(),
        WithdrawCommand c => c.Id.ToString(),
        ReportUnreadReplyCommand c => c.Id.ToString(),
        AttemptStartedCommand c => $"{c.Id} attempt {c.Attempt} of {string.Join(',', c.Recipients)}",
        NodesChangedCommand c => string.Join(',', c.Nodes),
        NodeDownCommand c => c.Node,
        NodeUpCommand c => $"{c.Node} life {c.Life}",
        NodeDrainingCommand c => $"{c.Node} {c.IsDraining} {c.IsVacating}",
        HoldersChangedCommand c => $"{string.Join(',', c.Ids)} {c.Holder} {c.Added}",
        AttemptEndedCommand c => $"{c.Id} attempt {c.Attempt}: {string.Join(',', c.Results.Select(r => $"{r.Recipient} {r.Outcome}"))}",
        _ => "",
    };

    private static void Check(bool holds, string promise)
    {
        if (!holds)
        {
            throw new BrokenPromiseException(promise);
        }
    }
}
