// How a program embeds a cluster. Three nodes in one process, to be tried without any set-up; in earnest each is a process
// on a machine of its own, with the others' addresses and a token (ClusterConfig.Tokens).
using System.Net;
using System.Net.Sockets;
using Quorumail.Cluster;
using Quorumail.Cluster.State;
using Quorumail.Core.Cluster;

string directory = Directory.CreateTempSubdirectory("shared-state-").FullName;
int[] ports = FreePorts(3);
List<ClusterManager> nodes = [];
try
{
    for (int i = 0; i < ports.Length; i++)
    {
        nodes.Add(new ClusterManager(new ClusterConfig
        {
            NodeId = $"node{i + 1}",
            BindAddress = "127.0.0.1",
            BindPort = ports[i],
            Peers = [.. ports.Select(port => $"127.0.0.1:{port}")],
            DataDirectory = Path.Combine(directory, $"node{i + 1}"),
        }));
    }

    // The term is a fencing token: it is higher for every later leader.
    nodes[0].RoleChanged += (_, change) => Console.WriteLine($"node1 sees {change.LeaderId ?? "nobody"} lead in term {change.Term}");
    await Task.WhenAll(nodes.Select(node => node.StartAsync()));
    await Task.WhenAll(nodes.Select(node => node.WaitUntilReadyAsync()));

    // Written at one node, read at the others. A linearizable read shows every write that was answered before it began.
    await nodes[0].StateStore.SetAsync("rate_limit_192.168.1.100", "45");
    string? value = await nodes[1].StateStore.GetStringAsync("rate_limit_192.168.1.100", ReadConsistency.Linearizable);
    Console.WriteLine($"node2 reads rate_limit_192.168.1.100 = {value}");

    // A lock: whoever creates the key has it, until it is deleted or a minute has passed.
    StateWrite mine = await nodes[1].StateStore.CompareAndSetAsync("locks/report", 0, "node2"u8.ToArray(), TimeSpan.FromMinutes(1));
    StateWrite other = await nodes[2].StateStore.CompareAndSetAsync("locks/report", 0, "node3"u8.ToArray(), TimeSpan.FromMinutes(1));
    Console.WriteLine($"node2 has the lock: {mine.IsDone}, node3 has it: {other.IsDone}");

    await nodes[2].StateStore.DeleteAsync("rate_limit_192.168.1.100");
    value = await nodes[0].StateStore.GetStringAsync("rate_limit_192.168.1.100", ReadConsistency.Linearizable);
    Console.WriteLine($"node1 reads it after node3 has deleted it: {value ?? "not there"}");

    ClusterStats stats = nodes[0].GetClusterStats();
    Console.WriteLine($"Total nodes: {stats.TotalNodes}");
    Console.WriteLine($"Leader: {stats.LeaderId}");

    // One node goes; the other two elect a new leader if it led, and lose nothing.
    ClusterManager leader = nodes.First(node => node.LocalNode.Role == NodeRole.Leader);
    nodes.Remove(leader);
    await leader.DisposeAsync();
    await nodes[0].StateStore.SetAsync("still", "here");
    Console.WriteLine($"{leader.NodeId} is gone; {nodes[1].NodeId} reads still = {await nodes[1].StateStore.GetStringAsync("still", ReadConsistency.Linearizable)}");
}
finally
{
    foreach (ClusterManager node in nodes)
    {
        await node.DisposeAsync();
    }

    Directory.Delete(directory, recursive: true);
}

static int[] FreePorts(int count)
{
    TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
    foreach (TcpListener listener in listeners)
    {
        listener.Start();
    }

    int[] free = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
    foreach (TcpListener listener in listeners)
    {
        listener.Dispose();
    }

    return free;
}
