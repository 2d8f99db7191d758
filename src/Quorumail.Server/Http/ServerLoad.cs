using Quorumail.Cluster.Health;

namespace Quorumail.Server.Http;

/// <summary>What this server's heartbeats tell of it.</summary>
/// <param name="warning">Why it works but needs attention; null if it does not.</param>
/// <param name="fault">Why it can't do its work; null if it can.</param>
internal sealed class ServerLoad(Func<string?> warning, Func<string?> fault) : INodeLoad
{
    public string Version => ServerStatus.Version;

    public long ActiveConnections => (long)Metrics.ConnectionsActive.Value;

    public long MessagesProcessed => (long)Metrics.MessagesReceived.Value;

    public string? Warning => warning();

    public string? Fault => fault();
}
