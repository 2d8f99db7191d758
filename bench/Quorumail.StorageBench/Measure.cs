using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Core.Mail;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.StorageBench;

/// <summary>The measurements; each prints a line a case.</summary>
internal static class Measure
{
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(1);

    public static async Task BodiesAsync(string directory, int seconds, int lag, int[] sizes, int[] writers)
    {
        foreach (var (size, count) in sizes.SelectMany(size => writers.Select(count => (size, count))))
        {
            await using (var database = Database.Open(new DatabaseOptions { Path = directory }, TimeProvider.System, NullLogger.Instance))
            {
                await new BodyLoad(database, size, count, lag).RunAsync(WarmUp);
                var load = new BodyLoad(database, size, count, lag);
                await PrintAsync(load, TimeSpan.FromSeconds(seconds), $"{size,8} B {count,4} writers lag {lag}", () => database.Journal.Size.Syncs);
            }

            Directory.Delete(directory, recursive: true);
        }
    }

    public static async Task QueueAsync(string directory, int seconds, int[] sizes, int[] writers)
    {
        foreach (var (size, count) in sizes.SelectMany(size => writers.Select(count => (size, count))))
        {
            await using (var queue = await OpenAsync(directory))
            {
                await new QueueLoad(queue, size, count).RunAsync(WarmUp);
                var load = new QueueLoad(queue, size, count);
                await PrintAsync(load, TimeSpan.FromSeconds(seconds), $"{size,8} B {count,4} writers through the log", () => queue.Syncs);
            }

            Directory.Delete(directory, recursive: true);
        }
    }

    public static async Task DepthAsync(string directory, int messages)
    {
        var watch = Stopwatch.StartNew();
        await using (var queue = await OpenAsync(directory))
        {
            var left = messages;
            var octets = new byte[4096];
            Random.Shared.NextBytes(octets);
            await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => Task.Run(async () =>
            {
                while (Interlocked.Decrement(ref left) >= 0)
                {
                    await QueueLoad.EnqueueAsync(queue, octets);
                }
            })));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{messages} messages in {watch.Elapsed.TotalSeconds:F1} s, rss {Rss()} MiB"));
            while (queue.Changes.TryRead(out _))
            {
            }

            watch.Restart();
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"closed in {watch.Elapsed.TotalSeconds:F1} s"));
        watch.Restart();
        await using (var queue = await OpenAsync(directory))
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"opened with {queue.Count} messages in {watch.Elapsed.TotalSeconds:F1} s, rss {Rss()} MiB"));
        }
    }

    public static async Task LargeAsync(string directory, int messages, int megabytes)
    {
        await using var database = Database.Open(new DatabaseOptions { Path = directory }, TimeProvider.System, NullLogger.Instance);
        var bodies = new BodyStore(database);
        var octets = new byte[64 << 10];
        Random.Shared.NextBytes(octets);
        var before = Rss();
        var peak = 0L;
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, messages).Select(i => Task.Run(async () =>
        {
            await using var writer = bodies.Begin(QueueId.Create(1, (uint)i));
            for (var written = 0; written < megabytes << 20; written += octets.Length)
            {
                await writer.WriteAsync(octets, CancellationToken.None);
                if (i == 0)
                {
                    peak = Math.Max(peak, Rss());
                }
            }

            await writer.CompleteAsync(CancellationToken.None);
        })));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{messages} x {megabytes} MiB in {watch.Elapsed.TotalSeconds:F1} s, rss {before} -> at most {Math.Max(peak, Rss())} MiB"));
    }

    private static Task<MailQueue> OpenAsync(string directory) => MailQueue.OpenAsync(
        new MailQueueOptions { Database = new DatabaseOptions { Path = directory } },
        TimeProvider.System, NullLoggerFactory.Instance, CancellationToken.None);

    private static async Task PrintAsync(Load load, TimeSpan duration, string what, Func<long> syncs)
    {
        var process = Process.GetCurrentProcess();
        var cpuBefore = process.TotalProcessorTime;
        var syncsBefore = syncs();
        var allocatedBefore = GC.GetTotalAllocatedBytes();
        var elapsed = await load.RunAsync(duration);
        process.Refresh();
        var cpu = process.TotalProcessorTime - cpuBefore;
        var synced = Math.Max(1, syncs() - syncsBefore);
        var allocated = GC.GetTotalAllocatedBytes() - allocatedBefore;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{what}: {load.Count / elapsed.TotalSeconds,7:F0}/s  cpu {cpu.TotalMicroseconds / load.Count,6:F1} us each  "
            + $"{(double)load.Count / synced,5:F1} a sync  {allocated / load.Count,6} B allocated each  "
            + $"p50 {load.Percentile(0.5),6:F2} p99 {load.Percentile(0.99),7:F2} ms  rss {Rss()} MiB"));
    }

    private static long Rss()
    {
        using var process = Process.GetCurrentProcess();
        return process.WorkingSet64 >> 20;
    }
}
