using Quorumail.Cluster.Health;

namespace Quorumail.Cluster.Tests.Health;

internal sealed class ScriptedLoad : INodeLoad
{
    public string Version => "1.2.3";

    public long ActiveConnections => 42;

    public long MessagesProcessed => 1500;

    public string? Warning { get; set; }

    public bool IsShortOfSpace { get; set; }

    public string? Fault { get; set; }
}
