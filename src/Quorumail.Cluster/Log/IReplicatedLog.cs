namespace Quorumail.Cluster.Log;

/// <summary>
/// An ordered log of commands that is durable on a majority before a proposal succeeds, and a state that is its
/// deterministic result. The real log stands on DotNext Raft; the simulated one lives in the tests.
/// </summary>
public interface IReplicatedLog : IAsyncDisposable
{
    /// <summary>Index of the latest entry known to be committed.</summary>
    long CommitIndex { get; }

    /// <summary>Index of the latest entry that the local state has applied.</summary>
    long AppliedIndex { get; }

    /// <summary>The current term.</summary>
    long Term { get; }

    /// <summary>Whether proposals can commit now: a leader is known (here: this node leads) and the state has caught up.</summary>
    bool IsReady { get; }

    /// <summary>Cluster time in milliseconds: the last committed stamp plus the monotonic time since (never wall-clock jumps).</summary>
    long ClusterTime { get; }

    /// <summary>Completes, with the reason, if the log can't go on (a failed disk): the node must stop accepting work.</summary>
    Task<Exception> Failed { get; }

    /// <summary>Recovers the log, applies what was committed, and returns when this node takes part.</summary>
    Task StartAsync(CancellationToken token);

    /// <summary>
    /// Proposes one command and waits until it is committed and applied here. Commands that wait at the same time share
    /// an entry and an fsync. Cancelling the token ends the waiting and gives <see cref="ProposalOutcome.Unknown"/>; it
    /// does not take the command back.
    /// </summary>
    /// <param name="command">Kept by the log until the task completes; at most 1 MiB.</param>
    /// <param name="token">Bounds the waiting.</param>
    ValueTask<ProposalResult> ProposeAsync(ReadOnlyMemory<byte> command, CancellationToken token);

    /// <summary>
    /// The same for a command that may wait some milliseconds: it shares the entry of the next one that may not, as long as such come
    /// in close order, and has its own when they don't.
    /// </summary>
    /// <param name="command">Kept by the log until the task completes; at most 1 MiB.</param>
    /// <param name="token">Bounds the waiting.</param>
    ValueTask<ProposalResult> ProposeWithOthersAsync(ReadOnlyMemory<byte> command, CancellationToken token);
}
