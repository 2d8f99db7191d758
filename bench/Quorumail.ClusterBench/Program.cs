using System.Diagnostics;
using System.Globalization;
using Quorumail.ClusterBench;

if (args is ["node", ..])
{
    await LibraryNode.RunAsync(args);
    return 0;
}

// Shared state on three processes, durable on a majority, beside etcd in the same run, in turn; see bench/run.sh cluster.
if (args.Length < 2)
{
    Console.Error.WriteLine("usage: Quorumail.ClusterBench SMTP-SERVER|- ETCD|- [ROUNDS [SECONDS]]");
    return 2;
}

var rounds = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 3;
var seconds = args.Length > 3 ? double.Parse(args[3], CultureInfo.InvariantCulture) : 3;
List<Measurement> measurements = [];
for (var round = 0; round < rounds; round++)
{
    foreach (var start in Starts())
    {
        await using var nodes = start();
        await nodes.StartAsync();
        await Load.MeasureAsync(nodes, 64, 200, TimeSpan.FromSeconds(4));
        foreach (var size in (int[])[200, 10240])
        {
            foreach (var writers in (int[])[1, 64, 256])
            {
                await Console.Error.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"bench: round {round + 1}: {nodes.Name}, {writers} writers, {size} B"));
                measurements.Add(await Load.MeasureAsync(nodes, writers, size, TimeSpan.FromSeconds(seconds)));
            }
        }

        await Task.Delay(1000);
        var before = nodes.ProcessorTime;
        var watch = Stopwatch.StartNew();
        await Task.Delay(TimeSpan.FromSeconds(Math.Max(seconds, 5)));
        measurements.Add(Measurement.Idle(nodes.Name, (nodes.ProcessorTime - before) / watch.Elapsed / Nodes.Count, nodes.Megabytes / Nodes.Count));
    }
}

Report.Write(measurements);
return 0;

IEnumerable<Func<Nodes>> Starts()
{
    if (args[1] != "-")
    {
        yield return () => new EtcdNodes(args[1]);
    }

    if (args[0] != "-")
    {
        yield return () => new QuorumailNodes(args[0]);
        yield return () => new LibraryNodes();
    }
}
