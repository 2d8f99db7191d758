using System.Text;
using System.Text.Json;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;

namespace Quorumail.EndToEnd.Cluster.Mail;

/// <summary>What the nodes of a lab say of their queue.</summary>
internal static class LabQueue
{
    /// <summary>Waits until no node has anything queued.</summary>
    public static async Task UntilEmptyAsync(ClusterLab lab, TimeSpan limit, CancellationToken token)
    {
        foreach (var node in lab.Nodes)
        {
            var left = "";
            await Deadline.UntilAsync(
                async each =>
                {
                    if (await HasMetricAsync(node, "smtp_queue_size 0", each))
                    {
                        return true;
                    }

                    left = await TextAsync(node, "/api/queue?limit=3", each);
                    return false;
                },
                limit,
                () => $"{node.Name} has mail queued still: {left}\n{lab.Outputs}",
                token);
        }
    }

    /// <summary>Whether a node's metrics have a line.</summary>
    public static async ValueTask<bool> HasMetricAsync(LabNode node, string line, CancellationToken token) =>
        (await TextAsync(node, "/metrics", token)).Contains($"\n{line}\n", StringComparison.Ordinal);

    /// <summary>The deliveries that the cluster lists as possibly doubled: all pages, for an hour of faults lists more than one holds.</summary>
    public static async Task<IReadOnlyList<ListedSuspect>> SuspectsAsync(ClusterLab lab, CancellationToken token)
    {
        const string Page = "/api/queue/suspects?limit=10000";
        var suspects = new List<ListedSuspect>();
        for (var page = Page; page is not null;)
        {
            using var document = JsonDocument.Parse(await TextAsync(lab.Nodes[0], page, token));
            suspects.AddRange(document.RootElement.GetProperty("suspects").EnumerateArray().Select(ListedSuspect.Read));
            page = document.RootElement.GetProperty("next") is { ValueKind: JsonValueKind.Number } next ? $"{Page}&after={next.GetRawText()}" : null;
        }

        return suspects;
    }

    private static async Task<string> TextAsync(LabNode node, string path, CancellationToken token) =>
        await node.AskAsync("GET", path, token) is { Status: 200 } answer ? Encoding.UTF8.GetString(answer.Body.Span) : "";
}
