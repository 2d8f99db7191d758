using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Server.Configuration;
using Quorumail.Server.Limits;
using Quorumail.Server.Queue;

namespace Quorumail.Server.Hosting;

/// <summary>The limits of a running server: its use of those of the cluster, and, while it leads, what it tells the others of them.</summary>
internal sealed class NodeLimits : IAsyncDisposable
{
    private readonly LimitDuties _duties;

    /// <param name="options">Which limits there are to be.</param>
    /// <param name="queue">Whose log is asked.</param>
    /// <param name="cluster">The cluster; null for a server that stands alone, which leads itself.</param>
    /// <param name="time">The clock.</param>
    /// <param name="loggers">Told what the operator should know.</param>
    public NodeLimits(QuorumailOptions options, MailQueue queue, ClusterManager? cluster, TimeProvider time, ILoggerFactory loggers)
    {
        var log = loggers.CreateLogger("limits");
        Shared = new SharedLimits(queue.Limits, queue.ProposeAsync, () => queue.ClusterTime, queue.NodeId, time, log);
        _duties = new LimitDuties(
            queue.Limits,
            LimitSettings.Of(options),
            cluster is null
                ? () => queue.IsReady ? [queue.NodeId] : []
                : () => cluster.IsReady ? [.. cluster.Contacts.Select(contact => contact.Peer.NodeId)] : [],
            cluster is null ? () => true : () => cluster.Node?.FeatureLevel >= FeatureLevels.Limits,
            cluster is null ? () => true : () => cluster.Node?.FeatureLevel >= FeatureLevels.KeptShares,
            queue.ProposeAsync,
            time,
            log);
    }

    /// <summary>What connections and deliveries take from.</summary>
    public SharedLimits Shared { get; }

    /// <summary>Waits, for a bounded time, until the limits of the configuration hold.</summary>
    public Task SettleAsync(CancellationToken token) => _duties.SettleAsync(token);

    public async ValueTask DisposeAsync()
    {
        await _duties.DisposeAsync();
        await Shared.DisposeAsync();
    }
}
