using System.Diagnostics;
using System.Globalization;

namespace Quorumail.ClusterBench;

/// <summary>Writers, each of which waits for its answer before it writes again; 10 000 keys.</summary>
internal static class Load
{
    private const int Keys = 10_000;

    /// <summary>One cell of the table.</summary>
    public static async Task<Measurement> MeasureAsync(Nodes nodes, int writers, int size, TimeSpan duration)
    {
        var value = Value(size);
        var before = nodes.ProcessorTime;
        var watch = Stopwatch.StartNew();
        var all = await nodes.LoadAsync(writers, value, duration);
        var elapsed = watch.Elapsed;
        var processor = nodes.ProcessorTime - before;
        Array.Sort(all);
        return new Measurement(
            nodes.Name, writers, size, all.Length / elapsed.TotalSeconds, all[all.Length / 2], all[(int)(all.Length * 0.99)],
            processor.TotalMilliseconds / all.Length, 0);
    }

    /// <summary>Has some of the writers write; returns the latencies in ms.</summary>
    public static async Task<double[]> RunAsync(
        IEnumerable<int> writers, byte[] value, TimeSpan duration, Func<int, string, ReadOnlyMemory<byte>, CancellationToken, Task> put)
    {
        var watch = Stopwatch.StartNew();
        var latencies = await Task.WhenAll(writers.Select(writer => Task.Run(() => WriteAsync(writer, value, watch, duration, put))));
        return [.. latencies.SelectMany(each => each)];
    }

    public static byte[] Value(int size)
    {
        var value = new byte[size];
        new Random(size).NextBytes(value);
        return value;
    }

    private static async Task<List<double>> WriteAsync(
        int writer, byte[] value, Stopwatch watch, TimeSpan duration, Func<int, string, ReadOnlyMemory<byte>, CancellationToken, Task> put)
    {
        Random random = new(writer);
        List<double> latencies = [];
        while (watch.Elapsed < duration)
        {
            var began = Stopwatch.GetTimestamp();
            await put(writer, string.Create(CultureInfo.InvariantCulture, $"key-{random.Next(Keys)}"), value, CancellationToken.None);
            latencies.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }

        return latencies;
    }
}
