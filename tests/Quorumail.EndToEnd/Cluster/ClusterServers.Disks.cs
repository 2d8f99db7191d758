using Quorumail.EndToEnd.Processes;

namespace Quorumail.EndToEnd.Cluster;

/// <content>What an operator does to a node's disk and configuration, and on its command line.</content>
internal sealed partial class ClusterServers
{
    private static readonly TimeSpan CommandLimit = TimeSpan.FromSeconds(60);

    /// <summary>A node's name.</summary>
    public string NameOf(int index) => _nodes[index].Name;

    /// <summary>All that a node has written to standard output and error, in all its lives.</summary>
    public string OutputOf(int index) => _nodes[index].Child?.Output ?? "";

    /// <summary>The port of a node for the others.</summary>
    public int ClusterPort(int index) => _nodes[index].Port;

    /// <summary>Replaces all of a node's [cluster] but that it is enabled, and its name.</summary>
    public void Configure(int index, string lines)
    {
        var path = _directory[_nodes[index].Name + ".toml"];
        var text = File.ReadAllText(path);
        var before = text[..text.IndexOf("[cluster]", StringComparison.Ordinal)];
        File.WriteAllText(path, $"{before}[cluster]\nenabled = true\nnode_id = \"{_nodes[index].Name}\"\n{lines}\n");
    }

    /// <summary>Empties the disk of a node that does not run.</summary>
    public void Wipe(int index) => Directory.Delete(_directory[_nodes[index].Name], recursive: true);

    /// <summary>Runs <c>smtp-server</c> with a node's configuration, to its end.</summary>
    public Task<(int ExitCode, string Output)> RunAsync(int index, CancellationToken token, params string[] arguments) =>
        ChildProcess.RunAsync(ServerProcess.Executable, [.. arguments, "--config", _directory[_nodes[index].Name + ".toml"]], CommandLimit, token);
}
