using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Server.Configuration;
using Quorumail.Server.Queue;
using Quorumail.Server.Replication;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Hosting;

/// <summary>The parts of a node of a cluster that keeps mail: the queue on the cluster's log, the bodies on several disks, and what the leader does for all.</summary>
internal sealed class ClusterMail : IAsyncDisposable
{
    private readonly BodyService _bodies;
    private readonly LeaderDuties _duties;
    private readonly CopyKeeper _copies;

    private ClusterMail(ClusterManager manager, BodyService bodies, MailQueue queue, LeaderDuties duties, CopyKeeper copies)
    {
        Manager = manager;
        _copies = copies;
        _bodies = bodies;
        Queue = queue;
        _duties = duties;
    }

    public ClusterManager Manager { get; }

    /// <summary>The queue; <see cref="BeginAsync"/> comes first.</summary>
    public MailQueue Queue { get; }

    /// <summary>Opens the disk and begins to take part in the cluster.</summary>
    /// <exception cref="StartException">That can't be.</exception>
    public static async Task<ClusterMail> StartAsync(QuorumailOptions options, TimeProvider time, ILoggerFactory loggers, CancellationToken token)
    {
        var queueOptions = ClusterSetup.QueueOf(options);
        var nodeId = options.Cluster.EffectiveNodeId;
        var log = loggers.CreateLogger("bodies");
        ManagedPeers peers = new(nodeId);
        QueueDisk? disk = null;
        BodyReplicas? replicas = null;
        ClusterManager? manager = null;
        try
        {
            disk = await QueueDisk.OpenAsync(
                queueOptions, database => replicas = new BodyReplicas(database, peers, () => disk!.State.Members, time, log), time, loggers);
            var state = disk.State;
            BodyService bodies = new(disk.Database, () => (int)peers.Self.Incarnation, id => state.TryGet(id, out _), state.IsOver, time, log);
            manager = new ClusterManager(
                ClusterSetup.Create(options, time, loggers.CreateLogger("cluster")),
                new ClusterHost
                {
                    Application = state,
                    Journal = disk.Database.Journal,
                    Service = bodies,
                    Load = new ServerLoad(options, disk.Database.Health),
                },
                loggers,
                time);
            peers.Manager = manager;
            await manager.StartAsync(token);
            var running = manager;
            MailQueue queue = new(disk, manager.Log, () => CloseAsync(running), nodeId, () => running.Node!.Incarnation, queueOptions, time, loggers);
            LeaderDuties duties = new(manager, queue, state, options.Cluster, time, loggers.CreateLogger("cluster"));
            CopyKeeper copies = new(queue, state, replicas!, peers, time, log);
            return new ClusterMail(manager, bodies, queue, duties, copies);
        }
        catch (Exception exception) when (ClusterSetup.IsStartProblem(exception) || exception is StorageException)
        {
            if (manager is not null)
            {
                await manager.DisposeAsync();
            }

            if (disk is not null)
            {
                await disk.DisposeAsync();
            }

            throw new StartException(
                exception is StorageException
                    ? exception.Message
                    : $"the cluster can't be started on {options.Cluster.BindAddress}:{options.Cluster.BindPort} with {options.Storage.Path}: {exception.Message}",
                exception);
        }
    }

    /// <summary>Waits until the cluster has a majority that knows this node, and begins this node's new life in the queue.</summary>
    /// <exception cref="StorageException">The disk has failed.</exception>
    public async Task BeginAsync(CancellationToken token)
    {
        await Manager.WaitUntilReadyAsync(token);
        await _duties.MemberAsync(token);
        await Queue.BeginAsync(Manager.Node!.Life, token);
        _bodies.Start(Queue.AbandonAsync);
        _copies.Start();
    }

    public async ValueTask DisposeAsync()
    {
        await _copies.DisposeAsync();
        await _duties.DisposeAsync();
        await _bodies.DisposeAsync();
        await Queue.DisposeAsync();
    }

    private static async ValueTask CloseAsync(ClusterManager manager)
    {
        if (manager.Node is { } node)
        {
            await node.CheckpointAsync();
        }

        await manager.DisposeAsync();
    }
}
