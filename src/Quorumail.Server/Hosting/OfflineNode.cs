using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster;
using Quorumail.Cluster.Membership;
using Quorumail.Server.Configuration;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Hosting;

/// <summary>The disk of a node of a cluster, opened while the node does not run, and closed to it meanwhile.</summary>
internal sealed class OfflineNode : IAsyncDisposable
{
    private readonly QueueDisk _disk;

    private OfflineNode(QueueDisk disk, ClusterRecovery recovery)
    {
        _disk = disk;
        Recovery = recovery;
    }

    /// <summary>Founds a new cluster from this disk.</summary>
    public ClusterRecovery Recovery { get; }

    /// <summary>Opens the disk.</summary>
    /// <exception cref="StartException">The node runs, or there is nothing to recover; the message says what to do.</exception>
    public static async Task<OfflineNode> OpenAsync(QuorumailOptions options, TimeProvider time, CancellationToken token)
    {
        if (!DataDirectory.IsMade(options.Storage.Path))
        {
            throw new StartException($"{Path.GetFullPath(options.Storage.Path)} holds no data of a server: there is nothing to recover. Check [storage] path");
        }

        QueueDisk? disk = null;
        try
        {
            disk = await QueueDisk.OpenAsync(ClusterSetup.QueueOf(options), null, time, NullLoggerFactory.Instance);
            var recovery = await ClusterRecovery.OpenAsync(
                ClusterSetup.Create(options, time, NullLogger.Instance),
                new ClusterHost { Application = disk.State, Journal = disk.Database.Journal },
                token);
            return new OfflineNode(disk, recovery);
        }
        catch (Exception exception) when (ClusterSetup.IsStartProblem(exception) || exception is InvalidOperationException or StorageException)
        {
            if (disk is not null)
            {
                await disk.DisposeAsync();
            }

            throw new StartException(exception.Message, exception);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Recovery.DisposeAsync();
        await _disk.DisposeAsync();
    }
}
