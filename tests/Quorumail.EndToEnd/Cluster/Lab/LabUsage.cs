using System.Globalization;
using System.Text;

namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>What each node of a lab holds of the machine at a moment at which it has nothing to do.</summary>
internal sealed class LabUsage
{
    private readonly IReadOnlyList<Node> _nodes;

    private LabUsage(IReadOnlyList<Node> nodes) => _nodes = nodes;

    /// <summary>As it is now.</summary>
    public static LabUsage Of(ClusterLab lab) => new([.. lab.Nodes.Select(node => new Node(node.Name, node.ProcessId, ResidentMebibytes(node.ProcessId), OpenFiles(node.ProcessId)))]);

    /// <summary>What a node that has lived since then holds more of than so many times as much.</summary>
    public IEnumerable<string> ExceededBy(LabUsage now, double factor) =>
        from pair in _nodes.Zip(now._nodes)
        where pair.First.Process == pair.Second.Process
            && (pair.Second.Mebibytes > pair.First.Mebibytes * factor || pair.Second.Files > pair.First.Files * factor)
        select $"{pair.First}, then {pair.Second}";

    /// <inheritdoc/>
    public override string ToString() => string.Join("; ", _nodes);

    private static long ResidentMebibytes(int process) => long.Parse(
        File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/status"), Encoding.ASCII)
            .Single(line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
        CultureInfo.InvariantCulture) >> 10;

    private static int OpenFiles(int process) =>
        Directory.GetFileSystemEntries(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/fd")).Length;

    private sealed record Node(string Name, int Process, long Mebibytes, int Files)
    {
        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name} (process {Process}): {Mebibytes} MiB, {Files} files");
    }
}
