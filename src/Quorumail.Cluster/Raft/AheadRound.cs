namespace Quorumail.Cluster.Raft;

/// <summary>Ends when enough members have taken an entry, or one has not: then the engine has to see to it. Whoever waits goes on where the answer came in.</summary>
/// <param name="needed">Members that make a majority with this node; at least one.</param>
internal sealed class AheadRound(int needed) : TaskCompletionSource
{
    private int _missing = needed;

    /// <summary>A member has answered, or can't be reached.</summary>
    public void Answered(bool isTaken)
    {
        if (!isTaken || Interlocked.Decrement(ref _missing) == 0)
        {
            TrySetResult();
        }
    }
}
