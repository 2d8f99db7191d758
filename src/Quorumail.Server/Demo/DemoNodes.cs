using System.Net;

namespace Quorumail.Server.Demo;

/// <summary>The nodes of a cluster on this machine and their processes.</summary>
internal sealed class DemoNodes(IReadOnlyList<DemoNode> nodes, bool inOwnSessions = false)
{
    /// <summary>How long the nodes may take to find one another.</summary>
    private static readonly TimeSpan ReadyTimeout = TimeSpan.FromSeconds(60);

    private readonly Dictionary<DemoNode, DemoProcess> _processes = [];

    /// <summary>All nodes.</summary>
    public IReadOnlyList<DemoNode> All => nodes;

    /// <summary>The processes that were started.</summary>
    public IEnumerable<DemoProcess> Processes => _processes.Values;

    /// <summary>The latest process of a node.</summary>
    public DemoProcess this[DemoNode node] => _processes[node];

    /// <summary>Starts a node, for the first time or again after its end.</summary>
    public DemoProcess Start(DemoNode node)
    {
        if (_processes.TryGetValue(node, out var ended))
        {
            ended.Dispose();
        }

        return _processes[node] = DemoProcess.Start(node, nodes, inOwnSessions);
    }

    /// <summary>Waits until every node takes mail.</summary>
    /// <returns>What is wrong; null: nothing.</returns>
    public async Task<string?> WaitUntilReadyAsync(CancellationToken token)
    {
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(ReadyTimeout);
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(2) };
        foreach (var node in nodes)
        {
            try
            {
                while (!await IsReadyAsync(client, node, bound.Token))
                {
                    if (_processes[node] is { HasExited: true } ended)
                    {
                        await ended.EndAsync(ReadyTimeout);
                        return $"{node.Name} ended with exit code {ended.ExitCode}: {await LastLinesAsync(node, token)}";
                    }

                    await Task.Delay(TimeSpan.FromMilliseconds(100), bound.Token);
                }
            }
            catch (OperationCanceledException) when (!token.IsCancellationRequested)
            {
                return $"{node.Name} was not ready within {ReadyTimeout.TotalSeconds} s: {await LastLinesAsync(node, token)}";
            }
        }

        return null;
    }

    private static async Task<bool> IsReadyAsync(HttpClient client, DemoNode node, CancellationToken token)
    {
        try
        {
            using var answer = await client.GetAsync(new Uri(node.HttpAddress, "readyz"), token);
            return answer.StatusCode == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
        catch (TaskCanceledException) when (!token.IsCancellationRequested)
        {
            return false;
        }
    }

    private static async Task<string> LastLinesAsync(DemoNode node, CancellationToken token) =>
        string.Join(Environment.NewLine, (await File.ReadAllLinesAsync(node.LogPath, token)).TakeLast(5));
}
