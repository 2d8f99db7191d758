using System.Globalization;
using Quorumail.Cluster;

namespace Quorumail.ClusterBench;

/// <summary>A program that embeds the library: takes "writers first bytes seconds" by line, answers with a line of latencies.</summary>
internal static class LibraryNode
{
    public static async Task RunAsync(string[] args)
    {
        // As smtp-server does.
        Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
        await using ClusterManager cluster = new(new ClusterConfig
        {
            NodeId = args[1],
            DataDirectory = args[2],
            BindAddress = "127.0.0.1",
            BindPort = int.Parse(args[3], CultureInfo.InvariantCulture),
            Peers = args[4].Split(','),
        });
        await cluster.StartAsync();
        await cluster.WaitUntilReadyAsync();
        Console.WriteLine("ready");
        while (await Console.In.ReadLineAsync() is { } line)
        {
            var order = line.Split(' ').Select(figure => double.Parse(figure, CultureInfo.InvariantCulture)).ToArray();
            var latencies = await Load.RunAsync(
                Enumerable.Range((int)order[1], (int)order[0]),
                Load.Value((int)order[2]),
                TimeSpan.FromSeconds(order[3]),
                async (_, key, value, token) => await cluster.StateStore.SetAsync(key, value, token: token));
            Console.WriteLine(string.Join(' ', latencies.Select(latency => latency.ToString("F3", CultureInfo.InvariantCulture))));
        }
    }
}
