using System.Diagnostics;

namespace Quorumail.StorageBench;

/// <summary>Writers that each do one thing after the other.</summary>
internal abstract class Load(int writers)
{
    private readonly List<double>[] _milliseconds = [.. Enumerable.Range(0, writers).Select(_ => new List<double>())];

    public long Count => _milliseconds.Sum(list => (long)list.Count);

    public double Percentile(double part)
    {
        var all = _milliseconds.SelectMany(list => list).Order().ToArray();
        return all[(int)(part * (all.Length - 1))];
    }

    public async Task<TimeSpan> RunAsync(TimeSpan duration)
    {
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(_milliseconds.Select(list => Task.Run(async () =>
        {
            while (watch.Elapsed < duration)
            {
                var from = Stopwatch.GetTimestamp();
                await DoAsync();
                list.Add(Stopwatch.GetElapsedTime(from).TotalMilliseconds);
            }
        })));
        return watch.Elapsed;
    }

    protected abstract Task DoAsync();
}
