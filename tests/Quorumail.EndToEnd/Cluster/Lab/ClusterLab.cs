using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Quorumail.EndToEnd.Cluster.State;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>
/// A cluster of real servers, each on a host of its own in a <see cref="NetworkLab"/>. Clients reach a node through its own
/// loopback, so that what is done to the network is done between the nodes alone.
/// </summary>
internal sealed class ClusterLab : IAsyncDisposable
{
    /// <summary>Within which a cluster whose nodes run and reach one another serves everywhere.</summary>
    public static readonly TimeSpan SettleLimit = TimeSpan.FromSeconds(40);

    private const int ReadersPerNode = 4;
    private const string CopiesMissing = "smtp_queue_copies_missing ";

    private readonly LabGuard _guard;
    private readonly List<LabNode> _nodes = [];

    private ClusterLab(NetworkLab network, LabTimers timers, LabGuard guard)
    {
        Network = network;
        Timers = timers;
        _guard = guard;
    }

    /// <summary>The network between them.</summary>
    public NetworkLab Network { get; }

    /// <summary>The timers they are configured with.</summary>
    public LabTimers Timers { get; }

    /// <summary>The nodes.</summary>
    public IReadOnlyList<LabNode> Nodes => _nodes;

    /// <summary>How long after it lost its majority a node may still acknowledge: the election time-out and a second.</summary>
    public TimeSpan Grace => Timers.ElectionUpper + TimeSpan.FromSeconds(1);

    /// <summary>The last lines of each server's output, for messages.</summary>
    public string Outputs => string.Join("\n", _nodes.Select(node => $"--- {node.Name}\n{node.OutputTail}"));

    /// <summary>Makes a cluster and waits until it serves.</summary>
    public static Task<ClusterLab> StartAsync(int count, LabTimers timers, int seed, CancellationToken token) => StartAsync(count, timers, seed, "", token);

    /// <summary>The same with further lines of the route to the sink.</summary>
    public static async Task<ClusterLab> StartAsync(int count, LabTimers timers, int seed, string routeLines, CancellationToken token)
    {
        var guard = new LabGuard();
        ClusterLab? lab = null;
        try
        {
            lab = new ClusterLab(await NetworkLab.CreateAsync(count, seed, token), timers, guard);
            for (var i = 0; i < count; i++)
            {
                lab._nodes.Add(await LabNode.CreateAsync(i, lab.Network.Hosts, timers, routeLines, guard, token));
            }

            await Task.WhenAll(lab._nodes.Select(node => node.StartAsync()));
            await lab.UntilServingAsync(SettleLimit, token);
            return lab;
        }
        catch
        {
            if (lab is null)
            {
                guard.Dispose();
            }
            else
            {
                await lab.DisposeAsync();
            }

            throw;
        }
    }

    /// <summary>Waits until every node is ready, and all name one leader, itself among them.</summary>
    public async Task UntilServingAsync(TimeSpan limit, CancellationToken token)
    {
        var state = "";
        await Deadline.UntilAsync(
            async each =>
            {
                var leaders = await Task.WhenAll(_nodes.Select(node => LeaderNamedByAsync(node, each)));
                state = string.Join(", ", leaders.Select(named => named.IsReady ? named.Leader ?? "nobody" : "not ready"));
                return leaders.All(named => named.IsReady && named.Leader is not null && named.Members == _nodes.Count)
                    && leaders.DistinctBy(named => named.Leader, StringComparer.Ordinal).Count() == 1;
            },
            limit,
            () => $"the nodes name as leader: {state}\n{Outputs}",
            token);

        // Whatever a test is about: the nodes compare how they apply the log.
        foreach (var node in _nodes)
        {
            if (await node.AskAsync("GET", "/api/cluster/nodes", token) is { Status: 200 } answer)
            {
                Assert.DoesNotContain("another state", Encoding.UTF8.GetString(answer.Body.Span), StringComparison.Ordinal);
            }
        }
    }

    /// <summary>The node that leads, as it says itself, and its term; waits until there is one.</summary>
    public async Task<(int Node, long Term)> LeaderAsync(CancellationToken token)
    {
        (int Node, long Term) leader = (-1, 0);
        await Deadline.UntilAsync(
            async each =>
            {
                foreach (var node in _nodes.Where(node => node.IsRunning))
                {
                    if (await node.StatusAsync(each) is { } status
                        && status.GetProperty("leader_id").GetString() == node.Name
                        && status.GetProperty("term").GetInt64() is var term && term > leader.Term)
                    {
                        leader = (node.Index, term);
                    }
                }

                return leader.Node >= 0;
            },
            SettleLimit,
            () => $"nobody says that it leads.\n{Outputs}",
            token);
        return leader;
    }

    /// <summary>Waits until every message is on as many disks as it should be, as each node says.</summary>
    public Task UntilCopiedAsync(TimeSpan limit, CancellationToken token)
    {
        var state = "";
        return Deadline.UntilAsync(
            async each =>
            {
                var lines = await Task.WhenAll(_nodes.Select(node => CopiesMissingAsync(node, each)));
                state = string.Join(", ", lines);
                return lines.All(line => line == CopiesMissing + "0");
            },
            limit,
            () => $"the nodes say {state}\n{Outputs}",
            token);
    }

    /// <summary>Waits until every node has applied the same; nobody may write meanwhile.</summary>
    public async Task UntilConvergedAsync(TimeSpan limit, CancellationToken token)
    {
        var state = "";
        await Deadline.UntilAsync(
            async each =>
            {
                var applied = await Task.WhenAll(_nodes.Select(async node => await node.StatusAsync(each) is { } status
                    ? (Applied: status.GetProperty("applied_index").GetInt64(), Committed: status.GetProperty("commit_index").GetInt64())
                    : (Applied: -1, Committed: -1)));
                state = string.Join(", ", applied);
                return applied.Distinct().Count() == 1 && applied[0].Applied >= 0 && applied[0].Applied == applied[0].Committed;
            },
            limit,
            () => $"(applied, committed): {state}\n{Outputs}",
            token);
    }

    /// <summary>Terms that more than one node has led, by what every node has noted in all its lives.</summary>
    public IReadOnlyList<string> TermsWithManyLeaders() =>
        [.. _nodes.SelectMany(node => node.LeadersNoted()).Distinct().GroupBy(led => led.Term).Where(term => term.Count() > 1)
            .Select(term => string.Create(CultureInfo.InvariantCulture, $"term {term.Key}: {string.Join(", ", term.Select(led => led.Leader))}"))];

    /// <summary>What nodes have noted in all their lives that must not happen; that a disk made one stop may be expected.</summary>
    public IReadOnlyList<string> CriticalLines(bool disksFail) =>
        [.. from node in _nodes
            from line in node.Output.Split('\n')
            where line.Contains(" crit ", StringComparison.Ordinal) || line.Contains("Unhandled exception", StringComparison.Ordinal)
            where !disksFail || !line.Contains("the server stops", StringComparison.OrdinalIgnoreCase)
            select $"{node.Name}: {line}"];

    /// <summary>Notes in a ledger whom each node has seen elected, in all its lives.</summary>
    public async Task TellLeadersAsync(StateLedger ledger, CancellationToken token)
    {
        foreach (var node in _nodes)
        {
            foreach (var (term, leader) in node.LeadersNoted())
            {
                ledger.Led(term, leader);
            }

            if (await node.AskAsync("GET", "/api/cluster/events?limit=1000", token) is { Status: 200 } answer)
            {
                foreach (var happened in JsonElement.Parse(answer.Body.Span).GetProperty("events").EnumerateArray())
                {
                    if (happened.GetProperty("kind").GetString() == "election_won")
                    {
                        ledger.Led(happened.GetProperty("term").GetInt64(), node.Name);
                    }
                }
            }
        }
    }

    /// <summary>All that each node holds under these prefixes, read from each by itself.</summary>
    public async Task<IReadOnlyList<IReadOnlyDictionary<string, StoredValue>>> ReadAllAsync(IReadOnlyList<string> prefixes, CancellationToken token) =>
        await Task.WhenAll(_nodes.Select(node => ReadAllAsync(node, prefixes, token)));

    /// <summary>Every key that a node holds under a prefix.</summary>
    public static async Task<IReadOnlyList<string>> KeysAsync(LabNode node, string prefix, CancellationToken token)
    {
        List<string> keys = [];
        using var connection = new StateConnection(node.Host, LabNode.HttpPort);
        for (string? after = ""; after is not null;)
        {
            var target = $"/api/cluster/state?limit=1000&prefix={Uri.EscapeDataString(prefix)}&after={Uri.EscapeDataString(after)}";
            var answer = await connection.AskAsync("GET", target, default, null, SettleLimit, token);
            Assert.True(answer.Status == 200, $"{node.Name} does not list its keys: {answer.Status}");
            var page = JsonElement.Parse(answer.Body.Span);
            keys.AddRange(page.GetProperty("keys").EnumerateArray().Select(key => key.GetProperty("key").GetString()!));
            after = page.GetProperty("next").GetString();
        }

        return keys;
    }

    /// <summary>Deletes every key under a prefix.</summary>
    public async Task DeleteAllAsync(string prefix, CancellationToken token)
    {
        var leader = _nodes[(await LeaderAsync(token)).Node];
        await ForEachAsync(leader, await KeysAsync(leader, prefix, token), async (connection, key) =>
        {
            HttpAnswer? answer = null;
            await Deadline.UntilAsync(
                async each => (answer = await connection.AskAsync("DELETE", "/api/cluster/state/" + key, default, null, SettleLimit, each)) is { Status: 200 or 404 },
                SettleLimit,
                () => $"{key} can't be deleted: {answer?.Status}",
                token);
        });
    }

    /// <summary>Kills all nodes and copies what they have written, output and data, to a place that outlives the lab.</summary>
    public async Task KeepAsync(string place)
    {
        foreach (var node in _nodes)
        {
            await node.KillAsync();
            var to = Directory.CreateDirectory(Path.Combine(place, node.Name)).FullName;
            await File.WriteAllTextAsync(Path.Combine(to, "output.log"), node.Output);
            await ChildProcess.RunAsync("cp", ["-a", node.DataDirectory, to], SettleLimit, CancellationToken.None);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var node in _nodes)
        {
            await node.DisposeAsync();
        }

        await Network.DisposeAsync();
        _guard.Dispose();
    }

    private static async Task<IReadOnlyDictionary<string, StoredValue>> ReadAllAsync(LabNode node, IReadOnlyList<string> prefixes, CancellationToken token)
    {
        ConcurrentDictionary<string, StoredValue> all = new(StringComparer.Ordinal);
        foreach (var prefix in prefixes)
        {
            await ForEachAsync(node, await KeysAsync(node, prefix, token), async (connection, key) =>
            {
                var answer = await connection.AskAsync("GET", "/api/cluster/state/" + key, default, null, SettleLimit, token);
                Assert.True(answer.Status == 200, string.Create(CultureInfo.InvariantCulture, $"{node.Name} lists {key} and does not have it: {answer.Status}"));
                all[key] = new StoredValue(Encoding.ASCII.GetString(answer.Body.Span), answer.Version);
            });
        }

        return all;
    }

    private static async Task ForEachAsync(LabNode node, IReadOnlyList<string> keys, Func<StateConnection, string, Task> act)
    {
        await Task.WhenAll(Enumerable.Range(0, ReadersPerNode).Select(async reader =>
        {
            using var connection = new StateConnection(node.Host, LabNode.HttpPort);
            for (var i = reader; i < keys.Count; i += ReadersPerNode)
            {
                await act(connection, keys[i]);
            }
        }));
    }

    private static async Task<string> CopiesMissingAsync(LabNode node, CancellationToken token) =>
        await node.AskAsync("GET", "/metrics", token) is { Status: 200 } answer
            ? Encoding.UTF8.GetString(answer.Body.Span).Split('\n').FirstOrDefault(line => line.StartsWith(CopiesMissing, StringComparison.Ordinal)) ?? "nothing of copies"
            : "nothing";

    private static async Task<(bool IsReady, string? Leader, int Members)> LeaderNamedByAsync(LabNode node, CancellationToken token) =>
        await node.IsReadyAsync(token) && await node.StatusAsync(token) is { } status
            ? (true, status.GetProperty("leader_id").GetString(), status.GetProperty("total_nodes").GetInt32())
            : (false, null, 0);
}
