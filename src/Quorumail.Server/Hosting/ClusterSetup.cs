using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Transport;
using Quorumail.Server.Configuration;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Hosting;

/// <summary>What <c>[cluster]</c> says, in the words of the cluster library.</summary>
internal static class ClusterSetup
{
    /// <summary>Directory of log and shared state: the one of the mail, so that a server that stood alone can be the first of a cluster.</summary>
    public static string DirectoryOf(QuorumailOptions options) => options.Storage.Path;

    /// <summary>Where the queue of a node of a cluster is, and whose it is.</summary>
    public static MailQueueOptions QueueOf(QuorumailOptions options) => new()
    {
        Database = new DatabaseOptions { Path = options.Storage.Path, FreeSpaceFloor = options.Storage.MinFree },
        NodeId = options.Cluster.NodeId.Length > 0 ? options.Cluster.NodeId : null,
        HistorySizeMax = options.Queue.HistoryMaxSize,
        HistoryKeep = options.Queue.HistoryKeep,
    };

    /// <summary>Whether an exception says that the cluster can't be started, or its disk not be opened, as this machine stands.</summary>
    public static bool IsStartProblem(Exception exception) =>
        exception is IOException or UnauthorizedAccessException or InvalidDataException or JournalException or ClusterConfigException;

    /// <summary>How this node takes part.</summary>
    /// <exception cref="IOException">A certificate can't be used; the message names the file.</exception>
    public static ClusterConfig Create(QuorumailOptions options, TimeProvider time, ILogger logger)
    {
        var cluster = options.Cluster;
        var certificate = cluster.TlsEnabled ? new PortCertificate(cluster.TlsCert, cluster.TlsKey, cluster.TlsCa, time, logger) : null;
        return new ClusterConfig
        {
            NodeId = cluster.EffectiveNodeId,
            BindAddress = cluster.BindAddress.ToString(),
            BindPort = cluster.BindPort,
            Peers = cluster.Peers,
            HeartbeatIntervalMs = cluster.HeartbeatIntervalMs,
            HeartbeatTimeoutMs = cluster.HeartbeatTimeoutMs,
            LeaderElectionTimeoutMs = cluster.LeaderElectionTimeoutMs,
            EnableAutoDiscovery = cluster.EnableAutoDiscovery,
            Bootstrap = cluster.Bootstrap,
            DataDirectory = DirectoryOf(options),
            AdvertiseAddress = cluster.AdvertiseAddress,
            Tokens = cluster.IsAuthenticating ? [.. new[] { cluster.AuthToken, cluster.AuthTokenPrevious }.Where(token => token.Length > 0)] : [],
            AllowUnauthenticated = !cluster.IsAuthenticating,
            Certificate = certificate,
            Discovery = ClusterSettings.Discovery(cluster),
            ReplicationBufferSize = cluster.ReplicationBufferSize,
            ReplicationBatchSize = cluster.ReplicationBatchSize,
            ReplicationBatchIntervalMs = cluster.ReplicationBatchIntervalMs,
            Timers = ClusterSettings.Timers(cluster),
        };
    }
}
