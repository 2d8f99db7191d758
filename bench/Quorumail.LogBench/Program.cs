using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.LogBench;

// Proposals through the log alone, each fsynced: latency, throughput and CPU by number of proposers.
// Usage: Quorumail.LogBench [directory] [proposers,…] [seconds] [bytes]
string directory = Path.Combine(args.Length > 0 ? args[0] : Path.GetTempPath(), $"quorumail-log-bench-{Environment.ProcessId}");
int[] proposers = (args.Length > 1 ? args[1] : "1,10,100,1000").Split(',').Select(int.Parse).ToArray();
TimeSpan span = TimeSpan.FromSeconds(args.Length > 2 ? double.Parse(args[2], CultureInfo.InvariantCulture) : 3);
byte[] command = new byte[args.Length > 3 ? int.Parse(args[3], CultureInfo.InvariantCulture) : 400];
Random.Shared.NextBytes(command);

Directory.CreateDirectory(directory);
try
{
    await using ClusterNode log = new(
        new ClusterNodeOptions { NodeId = "bench", Directory = directory }, new NoState(), TimeProvider.System, NullLogger.Instance);
    await log.StartAsync(CancellationToken.None);
    await MeasureAsync(log, 10, TimeSpan.FromSeconds(1));
    Console.WriteLine($"{"proposers",9} {"commands/s",10} {"entries/s",9} {"p50 ms",7} {"p99 ms",7} {"CPU µs/command",14}");
    foreach (int count in proposers)
    {
        Console.WriteLine(await MeasureAsync(log, count, span));
    }
}
finally
{
    Directory.Delete(directory, recursive: true);
}

async Task<string> MeasureAsync(ClusterNode log, int count, TimeSpan duration)
{
    long firstIndex = log.CommitIndex;
    TimeSpan cpu = Process.GetCurrentProcess().TotalProcessorTime;
    long start = Stopwatch.GetTimestamp();
    List<double>[] latencies = await Task.WhenAll(Enumerable.Range(0, count).Select(_ => Task.Run(async () =>
    {
        List<double> mine = [];
        while (Stopwatch.GetElapsedTime(start) < duration)
        {
            long at = Stopwatch.GetTimestamp();
            ProposalResult result = await log.ProposeAsync(command, CancellationToken.None);
            if (result.Outcome != ProposalOutcome.Applied)
            {
                throw new InvalidOperationException(result.Reason);
            }

            mine.Add(Stopwatch.GetElapsedTime(at).TotalMilliseconds);
        }

        return mine;
    })));
    double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
    double used = (Process.GetCurrentProcess().TotalProcessorTime - cpu).TotalMicroseconds;
    double[] all = [.. latencies.SelectMany(l => l).Order()];
    return string.Create(
        CultureInfo.InvariantCulture,
        $"{count,9} {all.Length / seconds,10:F0} {(log.CommitIndex - firstIndex) / seconds,9:F0} {all[all.Length / 2],7:F2} {all[(int)(all.Length * 0.99)],7:F2} {used / all.Length,14:F1}");
}
