using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;

namespace Quorumail.EndToEnd.Cluster;

/// <summary>Several real servers on this machine that make one cluster, each with a directory and ports of its own.</summary>
internal sealed partial class ClusterServers : IAsyncDisposable
{
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(15) };

    private readonly TemporaryDirectory _directory = new();
    private readonly List<Node> _nodes = [];

    /// <param name="count">How many.</param>
    /// <param name="lines">Lines of any other table than those that make the cluster, verbatim.</param>
    /// <param name="server">Lines of [server].</param>
    /// <param name="smtpPort">Where all take mail, each on a loopback address of its own (<see cref="SmtpHost"/>); null: on ports of their own.</param>
    public ClusterServers(int count, string lines = "", string server = "", int? smtpPort = null)
    {
        for (var i = 0; i < count; i++)
        {
            _nodes.Add(new Node(
                string.Create(CultureInfo.InvariantCulture, $"node{i + 1}"), FreePort.Take(), FreePort.Take(), smtpPort ?? FreePort.Take(), smtpPort is null ? "127.0.0.1" : SmtpHost(i)));
        }

        foreach (var node in _nodes)
        {
            var peers = string.Join(", ", _nodes.Select(peer => string.Create(CultureInfo.InvariantCulture, $"\"127.0.0.1:{peer.Port}\"")));
            File.WriteAllText(_directory[node.Name + ".toml"], string.Create(CultureInfo.InvariantCulture, $"""
                [server]
                host = "{node.SmtpHost}"
                port = {node.SmtpPort}
                hostname = "{node.Name}.example"
                {server}
                [storage]
                path = "{_directory[node.Name]}"
                [http]
                port = {node.HttpPort}
                [cluster]
                enabled = true
                node_id = "{node.Name}"
                bind_address = "127.0.0.1"
                bind_port = {node.Port}
                peers = [{peers}]
                {lines}

                """));
        }
    }

    /// <summary>Three that have formed a cluster.</summary>
    public static async Task<ClusterServers> FormAsync(string lines, string server, TimeSpan limit, CancellationToken token)
    {
        ClusterServers servers = new(3, lines, server);
        try
        {
            await servers.StartAllAsync(limit, token);
            return servers;
        }
        catch
        {
            await servers.DisposeAsync();
            throw;
        }
    }

    /// <summary>How many there are.</summary>
    public int Count => _nodes.Count;

    /// <summary>The address of a node's own, where all have one port.</summary>
    public static string SmtpHost(int index) => string.Create(CultureInfo.InvariantCulture, $"127.0.0.{index + 11}");

    /// <summary>Where one takes mail.</summary>
    public int SmtpPort(int index) => _nodes[index].SmtpPort;

    /// <summary>The last lines of each server's output, for messages.</summary>
    public string Outputs => string.Join("\n", _nodes.Select(node => $"--- {node.Name}\n{node.Child?.OutputTail}"));

    /// <summary>What all servers have logged of some messages, for messages.</summary>
    public string LinesOf(IEnumerable<string> queueIds)
    {
        var wanted = queueIds.ToList();
        return string.Join("\n", _nodes.SelectMany(node => (node.Child?.Output ?? "").Split('\n')
            .Where(line => wanted.Exists(id => line.Contains(id, StringComparison.Ordinal)))
            .Select(line => $"{node.Name}: {line}")));
    }

    /// <summary>Starts one, with further arguments; returns before it is ready.</summary>
    public async Task StartAsync(int index, params string[] arguments)
    {
        var node = _nodes[index];
        if (node.Child is not null)
        {
            await node.Child.DisposeAsync();
        }

        node.Child = ChildProcess.Start(ServerProcess.Executable, ["--config", _directory[node.Name + ".toml"], .. arguments], _directory[node.Name + ".log"], _directory.Path);
    }

    /// <summary>Starts one as a server that stands alone.</summary>
    public Task StartAloneAsync(int index)
    {
        var node = _nodes[index];
        node.Child = ChildProcess.Start(
            ServerProcess.Executable, ["--config", _directory[node.Name + ".toml"]], _directory[node.Name + ".log"], _directory.Path,
            new Dictionary<string, string>(StringComparer.Ordinal) { ["SMTP_CLUSTER_ENABLED"] = "false" });
        return Task.CompletedTask;
    }

    /// <summary>Whether one can't be connected to for SMTP.</summary>
    public async ValueTask<bool> RefusesConnectionsAsync(int index, CancellationToken token)
    {
        using TcpClient client = new();
        try
        {
            await client.ConnectAsync(IPAddress.Loopback, SmtpPort(index), token);
            return false;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    /// <summary>Waits until one's metrics have a line.</summary>
    public Task UntilMetricAsync(int index, string line, TimeSpan limit, CancellationToken token) => Deadline.UntilAsync(
        async each => await TryGetAsync(index, "metrics", each) is { Status: HttpStatusCode.OK } metrics
            && metrics.Body.Split('\n').Contains(line, StringComparer.Ordinal),
        limit,
        () => $"the metrics of {_nodes[index].Name} do not have {line}.\n{Outputs}",
        token);

    /// <summary>Starts all and waits until each is ready and knows all as healthy members.</summary>
    public async Task StartAllAsync(TimeSpan limit, CancellationToken token)
    {
        for (var i = 0; i < Count; i++)
        {
            await StartAsync(i);
        }

        await UntilReadyAsync(Enumerable.Range(0, Count), limit, token);
        await UntilWholeAsync(limit, token);
    }

    /// <summary>Waits until each knows all as healthy members, and the same leader.</summary>
    public async Task UntilWholeAsync(TimeSpan limit, CancellationToken token)
    {
        for (var i = 0; i < Count; i++)
        {
            var each = i;
            await Deadline.UntilAsync(
                async inner => await StatusAsync(each, inner) is { } status
                    && status.GetProperty("total_nodes").GetInt32() == Count
                    && status.GetProperty("healthy_nodes").GetInt32() == Count
                    && await LeaderAsync([each], inner) is >= 0 and var leader
                    && leader == await LeaderAsync([0], inner),
                limit,
                () => $"{_nodes[each].Name} does not see {Count} healthy nodes and one leader.\n{Outputs}",
                token);
        }
    }

    /// <summary>Waits until these are ready.</summary>
    public async Task UntilReadyAsync(IEnumerable<int> nodes, TimeSpan limit, CancellationToken token)
    {
        foreach (var i in nodes)
        {
            await Deadline.UntilAsync(
                async each => await TryGetAsync(i, "readyz", each) is { Status: HttpStatusCode.OK },
                limit,
                () => $"{_nodes[i].Name} is not ready.\n{Outputs}",
                token);
        }
    }

    /// <summary>Ends one as a crash does.</summary>
    public Task KillAsync(int index) => _nodes[index].Child!.KillAsync();

    /// <summary>Sends one a signal.</summary>
    public void Send(int index, Signal signal) => _nodes[index].Child!.Send(signal);

    /// <summary>Asks one to end and returns its exit code.</summary>
    public async Task<int> TerminateAsync(int index, TimeSpan limit, CancellationToken token)
    {
        Send(index, Signal.Terminate);
        return await _nodes[index].Child!.WaitAsync(limit, token);
    }

    /// <summary>The deliveries that the cluster lists as possibly doubled, as one node says.</summary>
    public async Task<IReadOnlyList<ListedSuspect>> SuspectsAsync(int index, CancellationToken token)
    {
        var answer = await TryGetAsync(index, "api/queue/suspects?limit=10000", token);
        Assert.True(answer is { Status: HttpStatusCode.OK }, $"GET /api/queue/suspects: {answer}");
        using var document = JsonDocument.Parse(answer.Value.Body);
        return [.. document.RootElement.GetProperty("suspects").EnumerateArray().Select(ListedSuspect.Read)];
    }

    /// <summary>How many messages of a state one node lists; of any state if none is named.</summary>
    public async Task<int> CountListedAsync(int index, string? state, CancellationToken token)
    {
        var answer = await TryGetAsync(index, state is null ? "api/queue" : "api/queue?state=" + state, token);
        return answer is { Status: HttpStatusCode.OK } ? JsonElement.Parse(answer.Value.Body).GetProperty("messages").GetArrayLength() : -1;
    }

    /// <summary>Waits until no message is queued, as these nodes say.</summary>
    public async Task UntilQueueEmptyAsync(IEnumerable<int> nodes, TimeSpan limit, CancellationToken token)
    {
        foreach (var i in nodes)
        {
            await UntilMetricAsync(i, "smtp_queue_size 0", limit, token);
        }
    }

    /// <summary>What one says of the cluster; null if it does not answer.</summary>
    public async Task<JsonElement?> StatusAsync(int index, CancellationToken token) =>
        await TryGetAsync(index, "api/cluster/status", token) is { Status: HttpStatusCode.OK } answer ? JsonElement.Parse(answer.Body) : null;

    /// <summary>The index of the leader as one of these nodes knows it, or -1.</summary>
    public async Task<int> LeaderAsync(IEnumerable<int> nodes, CancellationToken token)
    {
        foreach (var i in nodes)
        {
            if (await StatusAsync(i, token) is { } status && status.GetProperty("leader_id").GetString() is { } name)
            {
                return _nodes.FindIndex(node => node.Name == name);
            }
        }

        return -1;
    }

    /// <summary>Writes shared state through one node; false: refused, or nobody knows.</summary>
    public async Task<bool> TryPutAsync(int index, string key, string value, CancellationToken token)
    {
        try
        {
            using StringContent content = new(value);
            using var response = await Http.PutAsync(Address(index, "api/cluster/state/" + key), content, token);
            return response.IsSuccessStatusCode;
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

    /// <summary>Reads shared state, and again while the node says that it can't know; null if the key is not there.</summary>
    public async Task<string?> GetAsync(int index, string key, string read, CancellationToken token)
    {
        (HttpStatusCode Status, string Body)? answer = null;
        await Deadline.UntilAsync(
            async each => (answer = await TryGetAsync(index, $"api/cluster/state/{key}?read={read}", each)) is { Status: HttpStatusCode.OK or HttpStatusCode.NotFound },
            TimeSpan.FromSeconds(20),
            () => $"{_nodes[index].Name} does not answer a read: {answer}\n{Outputs}",
            token);
        return answer!.Value.Status == HttpStatusCode.OK ? answer.Value.Body : null;
    }

    /// <summary>Who led which term, by what every node has logged in all its lives.</summary>
    public IReadOnlyCollection<(long Term, string Node)> Leaders() =>
        [.. _nodes
            .SelectMany(node => LeadsTerm().Matches(node.Child?.Output ?? ""))
            .Select(match => (long.Parse(match.Groups["term"].ValueSpan, CultureInfo.InvariantCulture), match.Groups["node"].Value))
            .Distinct()];

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var node in _nodes)
        {
            if (node.Child is not null)
            {
                node.Child.Send(Signal.Continue);
                await node.Child.DisposeAsync();
            }
        }

        _directory.Dispose();
    }

    [GeneratedRegex(@": (?<node>node\d+) leads term (?<term>\d+)\.", RegexOptions.None, matchTimeoutMilliseconds: 10_000)]
    private static partial Regex LeadsTerm();

    private Uri Address(int index, string path) =>
        new(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_nodes[index].HttpPort}/{path}"));

    private async Task<(HttpStatusCode Status, string Body)?> TryGetAsync(int index, string path, CancellationToken token)
    {
        try
        {
            using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
            bound.CancelAfter(TimeSpan.FromSeconds(2));
            using var response = await Http.GetAsync(Address(index, path), bound.Token);
            return (response.StatusCode, await response.Content.ReadAsStringAsync(bound.Token));
        }
        catch (HttpRequestException)
        {
            return null;
        }
        catch (OperationCanceledException) when (!token.IsCancellationRequested)
        {
            return null;
        }
    }

    private sealed record Node(string Name, int Port, int HttpPort, int SmtpPort, string SmtpHost)
    {
        public ChildProcess? Child { get; set; }
    }
}
