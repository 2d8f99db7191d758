using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>
/// One attempt from its plan to its record, and the rules that it keeps: no final dot without an accepted start, no
/// delivery without a dot, in doubt whatever was not answered after the dot, and always an end in the log. The worker does
/// the talking and the waiting. An answer of null means that nothing is known to be applied: refused by the log, or unknown.
/// </summary>
/// <remarks>
/// <code>
/// attempt = new DeliveryAttempt(job)
/// connect, MAIL, RCPT…             attempt.Reply(i, rejected)          // for those the next hop refuses
/// if (attempt.NeedsStart)          propose attempt.Start(accepted)     // overlaps DATA and the body
///                                  if (!attempt.Started(status)) …     // RSET or close, no dot
/// attempt.SendDot()                send the dot; attempt.Reply(i, …)   // or nothing, if no reply comes
/// conclusion = attempt.Conclude(policy, now, random)
/// for each conclusion.Notices      compose, store the body, plan.ToEnqueue(…)
/// propose attempt.Record(notices)  and follow attempt.Recorded(status)
/// </code>
/// Idempotent routes and deadline jobs leave out the start.
/// </remarks>
public sealed class DeliveryAttempt
{
    private readonly DeliveryReply?[] _replies;
    private int[] _started = [];
    private bool _startProposed;
    private bool _mayBeStarted;
    private bool _mayBeRecorded;
    private int[]? _onlyOpen;
    private bool _dotSent;
    private int _salt;
    private AttemptConclusion? _conclusion;
    private AttemptEndedCommand? _record;

    public DeliveryAttempt(DeliveryJob job)
    {
        Job = job;
        _replies = new DeliveryReply?[job.Recipients.Count];
        if (job.Deadlines is { } deadlines)
        {
            for (var i = 0; i < _replies.Length; i++)
            {
                _replies[i] = job.Message.Recipients[job.Indexes[i]].LastResult is { Reply.Length: > 0 } last
                    ? new DeliveryReply(DeliveryVerdict.Temporary, last.Reply, last.EnhancedCode, last.NextHop)
                    : deadlines[i] with { Verdict = DeliveryVerdict.Temporary };
            }
        }
    }

    /// <summary>What is attempted.</summary>
    public DeliveryJob Job { get; }

    /// <summary>Whether the dot needs an accepted start.</summary>
    public bool NeedsStart => !Job.Destination.Route.IsIdempotent && Job.Deadlines is null;

    /// <summary>Whether the dot may be sent now.</summary>
    public bool MaySendDot { get; private set; }

    /// <summary>The command to propose before the dot. Once only.</summary>
    /// <param name="recipients">Those whom the dot will be for; null for all that have no reply yet.</param>
    public AttemptStartedCommand Start(IReadOnlyList<int>? recipients = null)
    {
        Invariant.Check(!_startProposed && NeedsStart, "an attempt is started once");
        _startProposed = true;
        _started = recipients is null
            ? [.. Job.Indexes.Where((_, i) => _replies[i] is null)]
            : [.. recipients.Order()];
        Invariant.Check(_started.Length > 0 && Array.TrueForAll(_started, IsMine), "an attempt is started for recipients of its job");
        return new AttemptStartedCommand(Job.Message.Id, Job.Message.Epoch, Job.Attempt, _started);
    }

    /// <summary>Takes the answer to the start; returns whether the dot may be sent.</summary>
    public bool Started(ApplyStatus? status)
    {
        Invariant.Check(_startProposed, "an answer follows a proposal");
        _mayBeStarted = status is null or ApplyStatus.Accepted;
        MaySendDot = status == ApplyStatus.Accepted && _conclusion is null;
        return MaySendDot;
    }

    /// <summary>To be called right before the dot's bytes are handed to the connection.</summary>
    public void SendDot()
    {
        Invariant.Check(MaySendDot && !_dotSent, "no final dot without an accepted start");
        _dotSent = true;
    }

    /// <summary>What the next hop, or the worker, says of one recipient; the first word counts.</summary>
    /// <param name="recipient">Its index in the message.</param>
    /// <param name="reply">What was said.</param>
    public void Reply(int recipient, DeliveryReply reply)
    {
        var i = Array.BinarySearch(Job.Indexes, recipient);
        Invariant.Check(i >= 0, "a reply is for a recipient of the job");
        var afterDot = _dotSent && Array.BinarySearch(_started, recipient) >= 0;
        Invariant.Check(
            reply.Verdict != DeliveryVerdict.Delivered || afterDot || !NeedsStart, "nothing is delivered before the final dot");
        if (reply.Verdict == DeliveryVerdict.InDoubt && NeedsStart && !afterDot)
        {
            // Without a dot there is no doubt.
            reply = reply with { Verdict = DeliveryVerdict.Temporary };
        }

        _replies[i] ??= reply;
    }

    /// <summary>Says the same of all recipients that have no reply yet.</summary>
    public void ReplyRest(DeliveryReply reply)
    {
        for (var i = 0; i < _replies.Length; i++)
        {
            if (_replies[i] is null)
            {
                Reply(Job.Indexes[i], reply);
            }
        }
    }

    /// <summary>
    /// Ends the talking: what is to be recorded and which notices go with it. Recipients without a reply are in doubt if the
    /// dot was sent for them, else deferred. After <see cref="AttemptStep.RenewNotices"/> it gives the notices new ids, and
    /// perhaps fewer results.
    /// </summary>
    /// <param name="policy">What a reply means.</param>
    /// <param name="now">Now.</param>
    /// <param name="random">From 0 inclusive to 1 exclusive.</param>
    /// <param name="sendersOf">The addresses that a reverse-path stands for, none if nobody reads mail to it; null: itself.</param>
    public AttemptConclusion Conclude(RetryPolicy policy, long now, double random, Func<string, IReadOnlyList<string>>? sendersOf = null)
    {
        MaySendDot = false;
        if (_conclusion is null)
        {
            ReplyRest(_dotSent
                ? new DeliveryReply(DeliveryVerdict.InDoubt, "no reply after the final dot", "4.4.2", "")
                : new DeliveryReply(DeliveryVerdict.Temporary, "the attempt was not completed", "4.3.0", ""));
        }

        var results = _conclusion?.Results ?? Judge(policy, now, random);
        if (_onlyOpen is { } open)
        {
            results = Array.FindAll(results as RecipientResult[] ?? [.. results], r => Array.BinarySearch(open, r.Recipient) >= 0);
        }

        var handovers = results.Select(r => _replies[Array.BinarySearch(Job.Indexes, r.Recipient)]!.Handover).ToArray();
        var notices = NoticePolicy.Plan(Job.Message, Job.Attempt, results, handovers, _salt, sendersOf).ToLookup(static notice => notice.To.Count > 0);
        _conclusion = new AttemptConclusion(results, [.. notices[true]]) { Unaddressed = [.. notices[false]] };
        _record = null;
        return _conclusion;
    }

    /// <summary>The command to propose, and to propose again as long as <see cref="Recorded"/> says so.</summary>
    /// <param name="notices">One for each planned notice, in order, each with a durable body.</param>
    public AttemptEndedCommand Record(IReadOnlyList<EnqueueCommand> notices)
    {
        Invariant.Check(_conclusion is not null, "an attempt is concluded before it is recorded");
        Invariant.Check(
            notices.Count == _conclusion.Notices.Count
            && notices.Zip(_conclusion.Notices).All(static pair => pair.First.Id == pair.Second.Id),
            "a result is recorded together with the notices that it asks for");
        return _record ??= new AttemptEndedCommand(Job.Message.Id, Job.Message.Epoch, Job.Attempt, _conclusion.Results, notices);
    }

    /// <summary>Takes the answer to the record; says what follows.</summary>
    /// <param name="status">The answer.</param>
    /// <param name="present">The message as it stands after it, if it was refused; null if it has left the queue.</param>
    public AttemptStep Recorded(ApplyStatus? status, QueuedMessage? present = null)
    {
        Invariant.Check(_record is not null, "an answer follows a proposal");
        switch (status)
        {
            case null:
                _mayBeRecorded = true;
                return AttemptStep.ProposeAgain;
            case ApplyStatus.Accepted:
                return _onlyOpen is not null ? AttemptStep.RecordedInPart : AttemptStep.Recorded;
            case ApplyStatus.StaleEpoch or ApplyStatus.Conflict when _mayBeStarted && IsOpenForSome(present):
                // The message has another owner, or this one another life, and some recipients may have been tried since: of us it
                // takes only what was started and is open still.
                _salt++;
                return AttemptStep.RenewNotices;
            case ApplyStatus.Collision or ApplyStatus.Abandoned or ApplyStatus.TooFewCopies when _record.Notices.Count > 0:
                _salt++;
                return AttemptStep.RenewNotices;
            default:
                return AttemptStep.Superseded;
        }
    }

    /// <summary>Leaves out those for whom this attempt is not open; false if that would be nobody, or all.</summary>
    private bool IsOpenForSome(QueuedMessage? present)
    {
        var open = present is null ? [] : Array.FindAll(_started, i => present.Recipients[i].HasOpen(Job.Attempt, Job.Message.Epoch));
        if (open.Length == 0 || open.Length >= _record!.Results.Count)
        {
            return false;
        }

        _onlyOpen = open;
        return true;
    }

    private RecipientResult[] Judge(RetryPolicy policy, long now, double random)
    {
        var othersWait = now >= policy.ExpiresAt(Job.Message)
            && Job.Message.Recipients.Where((recipient, i) => !recipient.IsFinal && !IsMine(i)).Any();
        return Array.ConvertAll(Job.Indexes, index => policy.Judge(
            Job.Message, index, Job.Attempt, _replies[Array.BinarySearch(Job.Indexes, index)]!, Job.Deadlines is null, now, random, othersWait));
    }

    /// <summary>
    /// Whether a proposal of the record of which nothing was heard was applied after all: its outcome is known, then, though the same proposed again
    /// is superseded. To be asked after <see cref="AttemptStep.Superseded"/>.
    /// </summary>
    /// <param name="latest">The message as the queue has it; null if it has left.</param>
    public bool IsRecordedIn(QueuedMessage? latest)
    {
        Invariant.Check(_record is not null, "what is recorded was proposed");
        return _mayBeRecorded && _record.Results.All(result => latest?.Recipients[result.Recipient] is { } recipient
            ? recipient.Attempts == Job.Attempt && recipient.OpenAttempt == 0 && recipient.LastResult is { } last
                && last.Outcome == result.Outcome && last.NextAttemptAt == result.NextAttemptAt
            : result.Outcome is RecipientOutcome.Delivered or RecipientOutcome.Bounced or RecipientOutcome.Dropped);
    }

    private bool IsMine(int recipient) => Array.BinarySearch(Job.Indexes, recipient) >= 0;
}
