using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>
/// Decides what this node delivers next. It is driven by the queue's state alone: <see cref="Observe"/> every change in apply
/// order, and after a restart every message found. Pure and not thread-safe: callers hold one lock. Every step costs
/// O(log n), nothing is ever scanned; a waiting message costs about 250 bytes.
/// </summary>
/// <remarks>
/// The loop of a worker: take jobs by <see cref="TryTakeJob"/> until it gives none, then wait for an observation, a completed
/// job or <see cref="NextWakeAt"/>; then propose what <see cref="TryTakeGivenUp"/> gives. Each job ends in exactly one <see cref="Completed"/>; whoever holds an open connection
/// then asks <see cref="TryTakeNext"/> for another job of the same destination. Destinations take turns; one that could not
/// be reached is left alone as a whole for a while and then probed by a single job; sooner for a message whose own time comes meanwhile. Times are
/// milliseconds of cluster time.
/// </remarks>
public sealed partial class DeliveryScheduler
{
    private readonly RouteTable _routes;
    private readonly RetryPolicy _retry;
    private readonly DeliveryLimits _limits;
    private readonly string _owner;
    private readonly Dictionary<QueueId, SchedulerMessage> _messages = [];
    private readonly Dictionary<(Route Route, string Domain), SchedulerLane> _lanes = new(LaneKeyComparer.Instance);
    private readonly WakeHeap _heap = new();
    private readonly PriorityQueue<SchedulerLane, long> _blocked = new();
    private readonly LaneRotation _rotation;
    private readonly EntryList _deadlines = new();
    private readonly List<SchedulerEntry> _touched = [];
    private SuspensionList _suspensions = new(new QueueLimits());
    private long _now;
    private bool _deadlineTurn;

    /// <param name="routes">Where domains go.</param>
    /// <param name="retry">When to try again.</param>
    /// <param name="limits">Bounds.</param>
    /// <param name="owner">This node: messages of other owners are not scheduled.</param>
    public DeliveryScheduler(RouteTable routes, RetryPolicy retry, DeliveryLimits limits, string owner)
    {
        _routes = routes;
        _retry = retry;
        _limits = limits;
        _rotation = new LaneRotation(limits);
        _owner = owner;
    }

    /// <summary>Jobs taken and not completed.</summary>
    public int ActiveJobs => _rotation.Jobs;

    /// <summary>Messages known.</summary>
    public int MessageCount => _messages.Count;

    /// <summary>Destinations known: those for which something waits or is under way.</summary>
    public int DestinationCount => _lanes.Count;

    /// <summary>
    /// When <see cref="TryTakeJob"/> and <see cref="TryTakeGivenUp"/> must be asked again though nothing was observed or
    /// completed; null for never. Holds after they have given none.
    /// </summary>
    public long? NextWakeAt
    {
        get
        {
            var entry = _heap.Earliest?.WakeAt;
            var lane = _blocked.TryPeek(out _, out var unblockAt) ? unblockAt : (long?)null;
            var lost = _lost.TryPeek(out _, out var giveUpAt) ? giveUpAt : (long?)null;
            var resume = _suspensions.NextExpiry is var expiry && expiry < long.MaxValue ? expiry : (long?)null;
            return Earliest(Earliest(entry, lane), Earliest(resume, lost));
        }
    }

    /// <summary>Takes note of a message as it is now: new, changed, or found at start.</summary>
    public void Observe(QueuedMessage message)
    {
        if (!string.Equals(message.Owner, _owner, StringComparison.Ordinal))
        {
            Forget(message.Id);
            return;
        }

        QueuedMessage? before = null;
        if (_messages.TryGetValue(message.Id, out var known))
        {
            before = known.Latest;
            known.Latest = message;
        }
        else
        {
            known = new SchedulerMessage(message);
            _messages.Add(message.Id, known);
        }

        for (var i = 0; i < message.Recipients.Count; i++)
        {
            if (before is null || before.IsHeld != message.IsHeld || !ReferenceEquals(before.Recipients[i], message.Recipients[i]))
            {
                Place(known, i, 0);
                EndRestIfRequeued(before?.Recipients[i], message.Recipients[i]);
            }
        }

        RescheduleTouched();
        if (known.Holds is { } holds)
        {
            holds.RemoveAll(hold => hold.IsSettled(message));
        }

        WatchLost(known, 0);
    }

    /// <summary>Takes note that a message has left the queue or this node. A job under way is still to be completed.</summary>
    public void Forget(QueueId id)
    {
        if (_messages.Remove(id, out var known))
        {
            foreach (var entry in known.Entries())
            {
                Drop(entry);
            }
        }
    }

    /// <summary>
    /// Says which destinations and senders are suspended: for these nothing begins, and nothing expires, until they are
    /// resumed or their time has come. Looks at all messages.
    /// </summary>
    public void Suspend(IEnumerable<Suspension> suspensions)
    {
        var before = _suspensions;
        _suspensions = new SuspensionList(new QueueLimits());
        foreach (var suspension in suspensions)
        {
            _suspensions.Set(suspension);
        }

        PlaceCovered(before);
    }

    /// <summary>The next job, or null if none can be begun now.</summary>
    public DeliveryJob? TryTakeJob(long now)
    {
        now = NotBack(now);
        Advance(now);

        // What has only to be reported and what is to be tried take turns.
        _deadlineTurn = !_deadlineTurn;
        return _deadlineTurn
            ? TakeDeadline(now) ?? TakeFromRotation(now)
            : TakeFromRotation(now) ?? TakeDeadline(now);
    }

    /// <summary>
    /// Another job for the destination of a job that was just completed, for its open connection; null if there is none, or
    /// if it is another destination's turn.
    /// </summary>
    public DeliveryJob? TryTakeNext(DeliveryJob previous, long now)
    {
        now = NotBack(now);
        Advance(now);
        return LaneOf(previous.Destination) is { } lane && _rotation.MayGoOn(lane, previous.Turn + 1 >= _limits.JobsPerTurn, now)
            ? Take(lane.Ready.First!, now, previous.Turn + 1)
            : null;
    }

    /// <summary>Ends a job.</summary>
    /// <param name="job">As taken.</param>
    /// <param name="recorded">
    /// Whether Apply accepted its AttemptEnded. If so, its recipients wait until that is observed; if not, they are offered
    /// again after a moment, unless their state says otherwise.
    /// </param>
    /// <param name="now">Now.</param>
    public void Completed(DeliveryJob job, bool recorded, long now)
    {
        now = NotBack(now);
        var lane = LaneOf(job.Destination);
        if (job.Deadlines is not null)
        {
            _rotation.CountDeadline(-1);
        }
        else
        {
            _rotation.Count(lane!, -1);
            _rotation.Add(lane!, now);
        }

        if (_messages.TryGetValue(job.Message.Id, out var known)
            && known.Holds?.Find(h => ReferenceEquals(h.Job, job)) is { } hold)
        {
            hold.Recorded = recorded;
            if (!recorded || hold.IsSettled(known.Latest))
            {
                known.Holds.Remove(hold);
            }

            foreach (var index in job.Indexes)
            {
                Place(known, index, recorded ? 0 : now + _limits.UnrecordedWait);
            }

            RescheduleTouched();
            WatchLost(known, 0);
        }

        if (lane is not null)
        {
            ForgetIfIdle(lane);
        }
    }

    /// <summary>A connection to the destination succeeded: it is no longer held back.</summary>
    public void Reached(Destination destination, long now)
    {
        now = NotBack(now);
        if (LaneOf(destination) is { Failures: > 0 } lane)
        {
            _rotation.SetFailures(lane, 0);
            lane.BlockedUntil = 0;
            lane.LastFailure = null;
            _rotation.Add(lane, now);
        }
    }

    /// <summary>
    /// The destination as a whole could not be reached: nothing for it is begun for a while. Say so before completing the job.
    /// Of several jobs that fail together only the first counts.
    /// </summary>
    /// <param name="destination">A job's.</param>
    /// <param name="reply">Why; it is told to senders whose messages could not even be tried.</param>
    /// <param name="now">Now.</param>
    /// <param name="random">From 0 inclusive to 1 exclusive.</param>
    public void Unreachable(Destination destination, DeliveryReply reply, long now, double random)
    {
        now = NotBack(now);
        if (LaneOf(destination) is { } lane && lane.BlockedUntil <= now)
        {
            _rotation.SetFailures(lane, lane.Failures + 1);
            lane.LastFailure = reply;
            lane.FailedAt = now;
            lane.BlockedUntil = now + _retry.DestinationWait(lane.Failures, random);
            Rest(lane, lane.BlockedUntil);
        }
    }

    /// <summary>
    /// A limit does not let a job through. Until a time no more are begun for its destination than are under way beside it, then one more is
    /// tried. Say so before completing the job as not recorded.
    /// </summary>
    /// <param name="destination">A job's.</param>
    /// <param name="until">When it makes sense to try again.</param>
    public void HoldBack(Destination destination, long until)
    {
        if (LaneOf(destination) is { } lane)
        {
            lane.Allowed = lane.Active - 1;
            if (until > lane.HeldUntil || lane.HeldUntil <= _now)
            {
                lane.HeldUntil = Math.Max(until, _now + 1);
                Rest(lane, lane.HeldUntil);
            }
        }
    }

    /// <summary>A limit has let a job through: one more may be tried.</summary>
    /// <param name="destination">A job's.</param>
    /// <param name="now">Now.</param>
    public void LetThrough(Destination destination, long now)
    {
        if (LaneOf(destination) is { } lane && lane.Allowed < _limits.DestinationConcurrency)
        {
            lane.Allowed = Math.Max(lane.Allowed, lane.Active) + 1;
            _rotation.Add(lane, NotBack(now));
        }
    }

    /// <summary>Why nothing more is begun for an address now; null: for no reason of its destination.</summary>
    /// <param name="address">A recipient's.</param>
    /// <param name="now">Now.</param>
    public DestinationRest? RestOf(string address, long now) => FindLane(address, create: false) switch
    {
        { LastFailure: { } failure } lane when lane.BlockedUntil > now => new DestinationRest(lane.BlockedUntil, failure),
        { } lane when lane.HeldUntil > now && lane.Active >= lane.Allowed => new DestinationRest(lane.HeldUntil, null),
        _ => null,
    };

    private SchedulerLane? LaneOf(Destination destination) =>
        _lanes.TryGetValue((destination.Route, destination.Domain), out var lane)
        && ReferenceEquals(lane.Destination, destination) ? lane : null;

    private void Rest(SchedulerLane lane, long until)
    {
        lane.Rests++;
        _blocked.Enqueue(lane, until);
    }

    /// <summary>An operator wants a recipient tried now, and believes that it can be: its destination's rest is over. It is still probed by one job.</summary>
    private void EndRestIfRequeued(QueuedRecipient? before, QueuedRecipient recipient)
    {
        if (before?.State == RecipientState.Queued && recipient.State == RecipientState.Queued
            && recipient.Attempts == before.Attempts && recipient.NextAttemptAt < before.NextAttemptAt
            && FindLane(recipient.Envelope.Address, create: false) is { } lane)
        {
            lane.BlockedUntil = 0;
            _rotation.Add(lane, _now);
        }
    }

    /// <summary>
    /// Shortens its destination's rest for a message whose own time has come, if that is its first or none waits before it: the rest since the latest failure
    /// is then as long as if it had failed as often as the message. So a lone message keeps its schedule, and one that comes is soon tried.
    /// </summary>
    private void ShortenRest(SchedulerEntry entry, long now)
    {
        var lane = entry.Lane;
        var attempts = entry.Waiting.Min(index => entry.Message.Latest.Recipients[index].Attempts);
        if (lane.BlockedUntil <= now || (attempts > 0 && !ReferenceEquals(lane.Ready.First, entry)))
        {
            return;
        }

        var until = Math.Max(now, lane.FailedAt + _retry.DestinationWait(Math.Max(1, attempts), 0.5));
        if (until < lane.BlockedUntil)
        {
            lane.BlockedUntil = until;
            Rest(lane, until);
        }
    }

    /// <summary>Puts one recipient where its state asks for; its entry is to be rescheduled afterwards.</summary>
    private void Place(SchedulerMessage known, int index, long notBefore)
    {
        var recipient = known.Latest.Recipients[index];
        var waits = recipient.IsWaiting && !known.Latest.IsHeld && !_suspensions.Covers(known.Latest, index) && !known.IsHeld(index);
        var lane = FindLane(recipient.Envelope.Address, create: waits);
        var entry = lane is null ? null : known.Find(lane);
        if (waits && entry is null)
        {
            entry = new SchedulerEntry(known, lane!);
            known.Add(entry);
            lane!.Entries++;
        }

        if (entry is null)
        {
            return;
        }

        if (waits)
        {
            entry.Add(index);
            entry.NotBefore = Math.Max(entry.NotBefore, notBefore);
        }
        else
        {
            entry.Remove(index);
        }

        if (!entry.IsTouched)
        {
            entry.IsTouched = true;
            _touched.Add(entry);
        }
    }

    private SchedulerLane? FindLane(string address, bool create)
    {
        var domain = RouteTable.DomainOf(address);
        var route = _routes.Resolve(domain);
        var name = "";
        if (route.Transport == RouteTransport.Mx)
        {
            name = domain.TrimEnd('.').ToString();
        }

        if (!_lanes.TryGetValue((route, name), out var lane) && create)
        {
            name = name.ToLowerInvariant();
            lane = new SchedulerLane(new Destination(route, name));
            _lanes.Add((route, name), lane);
        }

        return lane;
    }

    private void RescheduleTouched()
    {
        foreach (var entry in _touched)
        {
            entry.IsTouched = false;
            Reschedule(entry);
        }

        _touched.Clear();
    }

    /// <summary>Computes an entry's times anew and puts it into the heap, or drops it if nobody waits in it.</summary>
    private void Reschedule(SchedulerEntry entry)
    {
        if (entry.Waiting.Length == 0)
        {
            entry.Message.Remove(entry);
            Drop(entry);
            return;
        }

        var message = entry.Message.Latest;
        var due = long.MaxValue;
        var deadline = long.MaxValue;
        foreach (var index in entry.Waiting)
        {
            due = Math.Min(due, message.Recipients[index].NextAttemptAt);
            deadline = Math.Min(deadline, DeadlineOf(message, message.Recipients[index]));
        }

        Unlist(entry);
        entry.DueAt = Math.Max(due, entry.NotBefore);
        entry.DeadlineAt = Math.Max(deadline, entry.NotBefore);
        _heap.Set(entry, Math.Min(entry.DueAt, entry.DeadlineAt));
    }

    /// <summary>Time as far as it has come: it never falls, whatever is passed in.</summary>
    private long NotBack(long now) => _now = Math.Max(_now, now);

    /// <summary>Puts those where their state asks for who are suspended, or were.</summary>
    private void PlaceCovered(SuspensionList before)
    {
        foreach (var known in _messages.Values)
        {
            for (var i = 0; i < known.Latest.Recipients.Count; i++)
            {
                if (before.Covers(known.Latest, i) || _suspensions.Covers(known.Latest, i))
                {
                    Place(known, i, 0);
                }
            }
        }

        RescheduleTouched();
    }

    /// <summary>Moves entries whose time has come, and lanes whose time of rest is over.</summary>
    private void Advance(long now)
    {
        if (_suspensions.NextExpiry <= now)
        {
            var before = _suspensions;
            Suspend([.. before.All.Where(s => s.IsInForce(now))]);
        }

        while (_blocked.TryPeek(out var lane, out var unblockAt) && unblockAt <= now)
        {
            _blocked.Dequeue();
            lane.Rests--;
            lane.Allowed += lane.Allowed < _limits.DestinationConcurrency && unblockAt == lane.HeldUntil ? 1 : 0;
            _rotation.Add(lane, now);
            ForgetIfIdle(lane);
        }

        while (_heap.Earliest is { } entry && entry.WakeAt <= now)
        {
            if (entry.DueAt <= now && entry.Place == EntryPlace.None)
            {
                entry.Place = EntryPlace.Ready;
                entry.Lane.Ready.Append(entry);
                _heap.Set(entry, Math.Max(entry.DeadlineAt, now + _limits.DeadlineGrace));
                ShortenRest(entry, now);
                _rotation.Add(entry.Lane, now);
            }
            else
            {
                Unlist(entry);
                entry.Place = EntryPlace.Deadline;
                _deadlines.Append(entry);
                _heap.Remove(entry);
            }
        }
    }

    private DeliveryJob? TakeFromRotation(long now) => _rotation.TryTake(now) is { } lane ? Take(lane.Ready.First!, now, 0) : null;

    private DeliveryJob? TakeDeadline(long now) =>
        _rotation.HasLocalPlace && _deadlines.First is { } entry ? TakeDeadline(entry, now) : null;

    private DeliveryJob Take(SchedulerEntry entry, long now, int turn)
    {
        var lane = entry.Lane;
        var message = entry.Message.Latest;
        var taken = new List<int>(Math.Min(entry.Waiting.Length, _limits.RecipientsPerJob));
        var left = new List<int>();
        foreach (var index in entry.Waiting)
        {
            (message.Recipients[index].NextAttemptAt <= now && taken.Count < _limits.RecipientsPerJob ? taken : left).Add(index);
        }

        var job = Begin(entry, left.Count == 0 ? entry.Waiting : [.. taken], turn, null);
        _rotation.Count(lane, +1);
        entry.Keep([.. left]);
        Reschedule(entry);
        Advance(now);
        _rotation.Add(lane, now);
        return job;
    }

    /// <summary>One job for all recipients of a message whose deadline has come, wherever they go, but those that are about to be tried.</summary>
    private DeliveryJob TakeDeadline(SchedulerEntry first, long now)
    {
        var message = first.Message.Latest;
        var taken = new SortedList<int, DeliveryReply>();
        var entries = first.Message.Entries();
        foreach (var entry in entries)
        {
            if (entry.Place == EntryPlace.Ready && entry.Lane.BlockedUntil <= now)
            {
                continue;
            }

            foreach (var index in entry.Waiting)
            {
                if (DeadlineOf(message, message.Recipients[index]) <= now && taken.Count < _limits.RecipientsPerDeadline)
                {
                    taken.Add(index, DeadlineReply(entry.Lane));
                }
            }
        }

        var job = Begin(first, [.. taken.Keys], 0, [.. taken.Values]);
        _rotation.CountDeadline(+1);
        foreach (var entry in entries)
        {
            int[] left = [.. entry.Waiting.Where(index => !taken.ContainsKey(index))];
            if (left.Length < entry.Waiting.Length)
            {
                entry.Keep(left);
                Reschedule(entry);
            }
        }

        Advance(now);
        return job;
    }

    private static DeliveryJob Begin(SchedulerEntry entry, int[] recipients, int turn, IReadOnlyList<DeliveryReply>? deadlines)
    {
        Invariant.Check(recipients.Length > 0, "an entry that is ready holds a recipient that is due");
        var message = entry.Message.Latest;
        var attempt = recipients.Max(index => message.Recipients[index].Attempts) + 1;
        var job = new DeliveryJob(message, entry.Lane.Destination, recipients, attempt, turn, deadlines);
        (entry.Message.Holds ??= new List<JobHold>(1)).Add(new JobHold(job));
        return job;
    }

    /// <summary>
    /// Nothing is said of a recipient while the result of a lost owner's attempt is waited for; and what expires waits for the last attempts at the message's
    /// other recipients, so that one notice tells of all.
    /// </summary>
    private long DeadlineOf(QueuedMessage message, QueuedRecipient recipient)
    {
        var deadline = _retry.DeadlineOf(message, recipient);
        deadline += deadline >= _retry.ExpiresAt(message) ? _limits.DeadlineGrace : 0;
        return recipient.State == RecipientState.OwnerLost ? Math.Max(deadline, recipient.NextAttemptAt) : deadline;
    }

    private static DeliveryReply DeadlineReply(SchedulerLane lane) =>
        lane.LastFailure ?? new DeliveryReply(DeliveryVerdict.Temporary, "waiting for its turn", "4.4.7", "");

    private void Drop(SchedulerEntry entry)
    {
        Unlist(entry);
        _heap.Remove(entry);
        entry.Lane.Entries--;
        entry.Keep([]);
        ForgetIfIdle(entry.Lane);
    }

    private void Unlist(SchedulerEntry entry)
    {
        if (entry.Place == EntryPlace.Ready)
        {
            entry.Lane.Ready.Remove(entry);
        }
        else if (entry.Place == EntryPlace.Deadline)
        {
            _deadlines.Remove(entry);
        }

        entry.Place = EntryPlace.None;
    }

    private void ForgetIfIdle(SchedulerLane lane)
    {
        if (lane.Entries == 0 && lane.Active == 0 && lane.Rests == 0)
        {
            _lanes.Remove((lane.Destination.Route, lane.Destination.Domain));
        }
    }
}
