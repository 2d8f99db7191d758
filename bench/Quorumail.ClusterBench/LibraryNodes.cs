using System.Diagnostics;
using System.Globalization;

namespace Quorumail.ClusterBench;

/// <summary>Three processes that embed the library; the writers are in them, so their CPU counts as the nodes'.</summary>
internal sealed class LibraryNodes : Nodes
{
    private Process[] _nodes = [];

    public override string Name => "quorumail, library";

    public override Task PutAsync(int writer, string key, ReadOnlyMemory<byte> value, CancellationToken token) => Task.CompletedTask;

    public override async Task<double[]> LoadAsync(int writers, byte[] value, TimeSpan duration)
    {
        var parts = await Task.WhenAll(_nodes.Select(async (node, i) =>
        {
            var share = (writers / Count) + (i < writers % Count ? 1 : 0);
            await node.StandardInput.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{share} {i * 1000} {value.Length} {duration.TotalSeconds}"));
            var answer = await node.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException($"a node has ended; see {Directory}");
            return answer.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(latency => double.Parse(latency, CultureInfo.InvariantCulture)).ToArray();
        }));
        return [.. parts.SelectMany(part => part)];
    }

    protected override async Task LaunchAsync()
    {
        var ports = Enumerable.Range(0, Count).Select(_ => FreePort()).ToArray();
        _nodes = [.. ports.Select((port, i) =>
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"n{i}");
            return LaunchTalking(Environment.ProcessPath!, name,
                ["node", name, Path.Combine(Directory, name), port.ToString(CultureInfo.InvariantCulture), string.Join(',', ports.Select(Local))]);
        })];
        foreach (var node in _nodes)
        {
            while (!string.Equals(await node.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException($"a node has ended; see {Directory}"), "ready", StringComparison.Ordinal))
            {
            }
        }
    }
}
