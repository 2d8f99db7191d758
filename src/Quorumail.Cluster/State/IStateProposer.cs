using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.State;

/// <summary>What the store needs of the replicated log: the cluster's node, or the log of the tests.</summary>
internal interface IStateProposer
{
    /// <summary>Cluster time in milliseconds.</summary>
    long ClusterTime { get; }

    /// <summary>Whether this node leads, as far as it knows.</summary>
    bool Leads { get; }

    /// <summary>Proposes a command for the store and waits until it is applied here.</summary>
    ValueTask<ProposalResult> ProposeAsync(ReadOnlyMemory<byte> command, CancellationToken token);

    /// <summary>Returns when everything that was committed before the call is applied here.</summary>
    /// <exception cref="InvalidOperationException">No leader, or no majority.</exception>
    ValueTask ReadBarrierAsync(CancellationToken token);
}
