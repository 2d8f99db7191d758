using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Core.Cluster;
using Quorumail.Core.Queue;
using Quorumail.Server.Configuration;
using Quorumail.Server.Queue;
using Quorumail.Server.Replication;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Hosting;

/// <summary>The parts of a node of a cluster that keeps mail: the queue on the cluster's log, the bodies on several disks, and what the leader does for all.</summary>
internal sealed partial class ClusterMail : IAsyncDisposable
{
    /// <summary>An election ends in less; without a majority there is nobody to give anything to.</summary>
    private static readonly TimeSpan HandOverPatience = TimeSpan.FromSeconds(3);

    private readonly BodyService _bodies;
    private readonly LeaderDuties _duties;
    private readonly CopyKeeper _copies;
    private readonly ILogger _log;

    private ClusterMail(ClusterManager manager, BodyService bodies, MailQueue queue, LeaderDuties duties, CopyKeeper copies, NodeDrain drain, ILogger log)
    {
        _log = log;
        Manager = manager;
        _copies = copies;
        Drain = drain;
        _bodies = bodies;
        Queue = queue;
        _duties = duties;
    }

    public ClusterManager Manager { get; }

    /// <summary>Has nodes give up what depends on them.</summary>
    public NodeDrain Drain { get; }

    /// <summary>The queue; <see cref="BeginAsync"/> comes first.</summary>
    public MailQueue Queue { get; }

    /// <summary>Opens the disk and begins to take part in the cluster.</summary>
    /// <param name="options">Checked before.</param>
    /// <param name="featureLevel">The highest that this program knows; a lower one makes it pass for an older program.</param>
    /// <param name="time">The clock.</param>
    /// <param name="loggers">Told what the operator should know.</param>
    /// <param name="token">Ends the starting.</param>
    /// <exception cref="StartException">That can't be.</exception>
    public static async Task<ClusterMail> StartAsync(QuorumailOptions options, int featureLevel, TimeProvider time, ILoggerFactory loggers, CancellationToken token)
    {
        var queueOptions = ClusterSetup.QueueOf(options);
        var log = loggers.CreateLogger("bodies");
        ManagedPeers peers = new();
        QueueDisk? disk = null;
        BodyReplicas? replicas = null;
        ClusterManager? manager = null;
        try
        {
            disk = await QueueDisk.OpenAsync(
                queueOptions, database => replicas = new BodyReplicas(database, peers, () => disk!.State.Members, time, log), time, loggers);
            var state = disk.State;
            var nodeId = MailQueue.ReadOrWriteNodeId(disk.Database, queueOptions.NodeId, options.Cluster.EffectiveNodeId);
            peers.NodeId = nodeId;
            state.NodeId = nodeId;
            BodyService bodies = new(disk.Database, () => (int)peers.Self.Incarnation, id => state.TryGet(id, out _), state.IsOver, time, log);
            manager = new ClusterManager(
                ClusterSetup.Create(options, time, loggers.CreateLogger("cluster")) with { NodeId = nodeId },
                new ClusterHost
                {
                    Application = state,
                    FeatureLevel = featureLevel,
                    Journal = disk.Database.Journal,
                    Service = bodies,
                    Load = new ServerLoad(options, disk.Database.Health, () => state.IsDraining),
                },
                loggers,
                time);
            peers.Manager = manager;
            await manager.StartAsync(token);
            var running = manager;
            MailQueue queue = new(disk, manager.Log, () => CloseAsync(running), nodeId, () => running.Node!.Incarnation, queueOptions, time, loggers);
            LeaderDuties duties = new(manager, queue, state, options.Cluster, time, loggers.CreateLogger("cluster"));
            CopyKeeper copies = new(state, replicas!, () => queue.IsReady, queue.ProposeAsync, time, log);
            NodeDrain drain = new(manager, queue, state, time, loggers.CreateLogger("cluster"));
            return new ClusterMail(manager, bodies, queue, duties, copies, drain, log);
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
        Drain.Start();
    }

    /// <summary>
    /// Gives this node's messages to the others, as far as they can take them; those with an attempt under way when it has ended.
    /// What can't be decided in time is decided when the node is gone.
    /// </summary>
    public async Task HandOverMessagesAsync(CancellationToken token)
    {
        if (Manager.IsReady && Manager.GetClusterStats().TotalNodes > 1)
        {
            using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
            bound.CancelAfter(HandOverPatience);
            await Queue.ProposeAsync(new NodeDrainingCommand(Queue.NodeId, IsDraining: true), bound.Token);
        }
    }

    /// <summary>Lets another node lead, so that nobody has to find out that this one has gone.</summary>
    public async Task HandOverLeadershipAsync(CancellationToken token)
    {
        try
        {
            if (Manager.LocalNode.Role == NodeRole.Leader && Manager.GetClusterStats().TotalNodes > 1)
            {
                await Manager.TransferLeadershipAsync(null, token);
            }
        }
        catch (Exception problem) when (problem is InvalidOperationException or OperationCanceledException or IOException)
        {
            LogKeptLeading(_log, problem.Message);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Drain.DisposeAsync();
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

    [LoggerMessage(1, LogLevel.Information, "leadership could not be handed over before the stop: {Reason}")]
    private static partial void LogKeptLeading(ILogger log, string reason);
}
