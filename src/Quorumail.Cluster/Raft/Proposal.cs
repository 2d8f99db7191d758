using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>One caller who waits for one command. Whoever completes it first wins: the log, or the caller's own token.</summary>
internal sealed class Proposal : TaskCompletionSource<ProposalResult>
{
    private const string GivenUp = "The caller stopped waiting; the command may still be committed.";

    private static readonly Action<Proposal> GiveUp =
        static proposal => proposal.TrySetResult(new(ProposalOutcome.Unknown, 0, default, GivenUp));

    private CancellationTokenRegistration _cancellation;
    private ProposalResult _result;

    /// <summary>Ends the waiting as unknown when <paramref name="token"/> is cancelled.</summary>
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

    /// <summary>Sets the result that <see cref="Complete"/> ends the waiting with.</summary>
    public void Decide(in ProposalResult result) => _result = result;

    /// <summary>Ends the waiting; the caller goes on here.</summary>
    public void Complete()
    {
        _cancellation.Unregister();
        TrySetResult(_result);
    }
}
