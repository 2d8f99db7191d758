using Quorumail.Cluster.Health;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Hosting;

/// <summary>What a server's heartbeats say of it.</summary>
/// <param name="options">The configuration.</param>
/// <param name="health">Of the disk.</param>
/// <param name="isDraining">Whether this node drains.</param>
internal sealed class ServerLoad(QuorumailOptions options, StorageHealth health, Func<bool> isDraining) : INodeLoad
{
    public string Version => "v" + ServerStatus.Version;

    public long ActiveConnections => (long)Metrics.ConnectionsActive.Value;

    public long MessagesProcessed => (long)Metrics.MessagesReceived.Value;

    public string? Warning => isDraining() ? "it drains"
        : !IsShortOfSpace ? null
        : $"less than [storage] min_free ({options.Storage.MinFree >> 20} MiB) is free on the disk";

    public bool IsShortOfSpace => !health.AcceptsMail && health.Failure is null;

    public string? Fault => health.Failure?.Message;
}
