using Quorumail.Cluster.Health;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Hosting;

/// <summary>What a server's heartbeats say of it.</summary>
internal sealed class ServerLoad(QuorumailOptions options, StorageHealth health) : INodeLoad
{
    public string Version => "v" + ServerStatus.Version;

    public long ActiveConnections => (long)Metrics.ConnectionsActive.Value;

    public long MessagesProcessed => (long)Metrics.MessagesReceived.Value;

    public string? Warning => health.AcceptsMail || health.Failure is not null ? null
        : $"less than [storage] min_free ({options.Storage.MinFree >> 20} MiB) is free on the disk";

    public string? Fault => health.Failure?.Message;
}
