using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>One caller who waits for one command. Whoever completes it first wins: the log, or the caller's own token.</summary>
/// <param name="mayWait">Whether the command may wait for others.</param>
/// <param name="ended">Called when the waiting has ended.</param>
internal sealed class Proposal(bool mayWait, Action ended) : TaskCompletionSource<ProposalResult>
{
    private const string GivenUp = "The caller stopped waiting; the command may still be committed.";
    private const string NeverSent = "No leader took the command while the caller waited.";

    private static readonly Action<Proposal> GiveUp = static proposal => proposal.End();

    private CancellationTokenRegistration _cancellation;
    private ProposalResult _result;
    private int _stage;

    /// <summary>Whether the command may wait for others; if not, a client waits for it.</summary>
    public bool MayWait => mayWait;

    private enum Stage
    {
        Waiting,
        Sent,
        Ended,
    }

    /// <summary>Ends the waiting when <paramref name="token"/> is cancelled: as refused if nobody has been given the command yet.</summary>
    public void WaitNoLongerThan(CancellationToken token)
    {
        if (token.CanBeCanceled)
        {
            _cancellation = token.UnsafeRegister(
                static state => ThreadPool.UnsafeQueueUserWorkItem(GiveUp, (Proposal)state!, preferLocal: false), this);
            if (Task.IsCompleted)
            {
                _cancellation.Unregister(); // It was completed before it could know of the registration.
            }
        }
    }

    /// <summary>From now on the command may be committed. False if the caller has been told that it never will be.</summary>
    public bool TrySend() =>
        Interlocked.CompareExchange(ref _stage, (int)Stage.Sent, (int)Stage.Waiting) is (int)Stage.Waiting or (int)Stage.Sent;

    /// <summary>Sets the result that <see cref="Complete"/> ends the waiting with; the first one counts.</summary>
    public void Decide(in ProposalResult result)
    {
        if (_result == default)
        {
            _result = result;
        }
    }

    /// <summary>Ends the waiting; the caller goes on here.</summary>
    public void Complete()
    {
        _cancellation.Unregister();
        if (Interlocked.Exchange(ref _stage, (int)Stage.Ended) != (int)Stage.Ended)
        {
            ended();
            TrySetResult(_result);
        }
    }

    private void End()
    {
        int stage = Interlocked.Exchange(ref _stage, (int)Stage.Ended);
        if (stage != (int)Stage.Ended)
        {
            ended();
            TrySetResult(stage == (int)Stage.Waiting
                ? new ProposalResult(ProposalOutcome.Refused, 0, default, NeverSent)
                : new ProposalResult(ProposalOutcome.Unknown, 0, default, GivenUp));
        }
    }
}
