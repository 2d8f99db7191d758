using Quorumail.Cluster.Health;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;

namespace Quorumail.Server.Hosting;

/// <summary>What a server's heartbeats say of it.</summary>
internal sealed class ServerLoad(QuorumailOptions options) : INodeLoad
{
    public string Version => "v" + ServerStatus.Version;

    public long ActiveConnections => (long)Metrics.ConnectionsActive.Value;

    public long MessagesProcessed => (long)Metrics.MessagesReceived.Value;

    public string? Warning
    {
        get
        {
            var free = new DriveInfo(Path.GetFullPath(options.Storage.Path)).AvailableFreeSpace;
            return free < options.Storage.MinFree ? $"{free >> 20} MiB are free on the disk, less than [storage] min_free" : null;
        }
    }

    public string? Fault => null;
}
