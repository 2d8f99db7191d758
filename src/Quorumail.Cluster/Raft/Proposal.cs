using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>One caller who waits for one command. Whoever completes it first wins: the log, or the caller's own token.</summary>
internal sealed class Proposal() : TaskCompletionSource<ProposalResult>(TaskCreationOptions.RunContinuationsAsynchronously)
{
    private const string GivenUp = "The caller stopped waiting; the command may still be committed.";

    private CancellationTokenRegistration _cancellation;

    /// <summary>Ends the waiting as unknown when <paramref name="token"/> is cancelled.</summary>
    public void WaitNoLongerThan(CancellationToken token)
    {
        if (token.CanBeCanceled)
        {
            _cancellation = token.UnsafeRegister(
                static state => ((Proposal)state!).TrySetResult(new(ProposalOutcome.Unknown, 0, default, GivenUp)), this);
            if (Task.IsCompleted)
            {
                _cancellation.Unregister(); // It was completed before it could know of the registration.
            }
        }
    }

    /// <summary>Ends the waiting with a result.</summary>
    public void Complete(in ProposalResult result)
    {
        TrySetResult(result);
        _cancellation.Unregister();
    }
}
