namespace Quorumail.Cluster.Health;

/// <summary>What a node's heartbeats tell of the program around the cluster. Read from any thread; must not block.</summary>
public interface INodeLoad
{
    /// <summary>The program's version, in heartbeats as <c>vX.Y.Z</c>.</summary>
    string Version { get; }

    /// <summary>Open connections of clients.</summary>
    long ActiveConnections { get; }

    /// <summary>Messages accepted since the process began.</summary>
    long MessagesProcessed { get; }

    /// <summary>Why the node works, but needs attention (a disk that is nearly full); null if it does not.</summary>
    string? Warning { get; }

    /// <summary>Whether the disk is nearly full.</summary>
    bool IsShortOfSpace { get; }

    /// <summary>Why the node can't do its work (a failed disk); null if it can.</summary>
    string? Fault { get; }
}
