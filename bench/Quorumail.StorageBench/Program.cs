using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Server.Storage;
using Quorumail.StorageBench;

// storage-bench [directory] [seconds] [lag]: writers × sizes; each body is deleted once `lag` younger ones are there (-1: never).
var directory = args.Length > 0 ? args[0] : Path.Combine(Path.GetTempPath(), "storage-bench");
var seconds = args.Length > 1 ? double.Parse(args[1], CultureInfo.InvariantCulture) : 3;
var lag = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 100;
var sizes = args.Length > 3 ? args[3].Split(',').Select(int.Parse).ToArray() : [4 << 10, 50 << 10];
var writers = args.Length > 4 ? args[4].Split(',').Select(int.Parse).ToArray() : [1, 20, 100];
foreach (var size in sizes)
{
    foreach (var count in writers)
    {
        if (Directory.Exists(directory))
        {
            Directory.Delete(directory, recursive: true);
        }

        var options = new DatabaseOptions { Path = directory };
        await using (var database = Database.Open(options, TimeProvider.System, NullLogger.Instance))
        {
            await new BodyLoad(database, size, count, lag).RunAsync(TimeSpan.FromSeconds(0.5));
            var load = new BodyLoad(database, size, count, lag);
            var process = Process.GetCurrentProcess();
            var cpuBefore = process.TotalProcessorTime;
            var (groupsBefore, syncsBefore) = (database.Commits.Groups, database.Commits.Syncs);
            var elapsed = await load.RunAsync(TimeSpan.FromSeconds(seconds));
            process.Refresh();
            var cpu = process.TotalProcessorTime - cpuBefore;
            var syncs = database.Commits.Syncs - syncsBefore;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{size,8} B {count,4} writers lag {lag}: {load.Count / elapsed.TotalSeconds,8:F0} bodies/s "
                + $"{load.Count * (double)size / elapsed.TotalSeconds / 1e6,7:F1} MB/s  cpu {cpu.TotalMicroseconds / load.Count,6:F1} us/body "
                + $"{(double)load.Count / Math.Max(1, syncs),6:F1} bodies/sync  p50 {load.Percentile(0.5),6:F2} p99 {load.Percentile(0.99),7:F2} ms  "
                + $"rss {process.WorkingSet64 >> 20} MiB"));
        }
    }
}

Directory.Delete(directory, recursive: true);
