using System.Diagnostics;
using System.Globalization;

namespace Quorumail.ClusterBench;

/// <summary>Writers, each of which waits for its answer before it writes again; 10 000 keys.</summary>
internal static class Load
{
    private const int Keys = 10_000;

    public static async Task<Measurement> RunAsync(Nodes nodes, int writers, int size, TimeSpan duration)
    {
        var value = new byte[size];
        new Random(size).NextBytes(value);
        var before = nodes.ProcessorTime;
        var watch = Stopwatch.StartNew();
        var latencies = await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(() => WriteAsync(nodes, writer, value, watch, duration))));
        var elapsed = watch.Elapsed;
        var processor = nodes.ProcessorTime - before;
        var all = latencies.SelectMany(each => each).Order().ToArray();
        return new Measurement(
            nodes.Name, writers, size, all.Length / elapsed.TotalSeconds, all[all.Length / 2], all[(int)(all.Length * 0.99)],
            processor.TotalMilliseconds / all.Length, 0);
    }

    private static async Task<List<double>> WriteAsync(Nodes nodes, int writer, byte[] value, Stopwatch watch, TimeSpan duration)
    {
        Random random = new(writer);
        List<double> latencies = [];
        while (watch.Elapsed < duration)
        {
            var began = Stopwatch.GetTimestamp();
            await nodes.PutAsync(writer, string.Create(CultureInfo.InvariantCulture, $"key-{random.Next(Keys)}"), value, CancellationToken.None);
            latencies.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }

        return latencies;
    }
}
