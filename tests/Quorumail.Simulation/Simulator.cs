using System.Globalization;

namespace Quorumail.Simulation;

/// <summary>
/// One thread, one clock, one seed: everything that happens is an item of one queue. What is due at the same millisecond
/// happens in an order that the seed decides. The same seed gives the same run.
/// </summary>
internal sealed class Simulator(int seed, bool keepTrace = false)
{
    private readonly PriorityQueue<Action, (long Due, int Tie, long Sequence)> _queue = new();
    private readonly List<string> _trace = [];
    private long _sequence;

    public int Seed => seed;

    public Random Random { get; } = new(seed);

    /// <summary>Milliseconds, like cluster time.</summary>
    public long Now { get; private set; } = 1_800_000_000_000;

    public long Steps { get; private set; }

    /// <summary>Over everything recorded and when: two runs are the same if this is.</summary>
    public ulong TraceHash { get; private set; } = 14695981039346656037UL;

    public IReadOnlyList<string> Trace => _trace;

    /// <summary>Called after each step.</summary>
    public Action? AfterStep { get; set; }

    public void After(long milliseconds, Action action) =>
        _queue.Enqueue(action, (Now + milliseconds, Random.Next(), _sequence++));

    /// <summary>From 0 inclusive to 1 exclusive, below <paramref name="percent"/> of the time true.</summary>
    public bool Chance(double percent) => Random.NextDouble() * 100 < percent;

    public long Between(int from, int to) => Random.Next(from, to + 1);

    public void Record<T>(string what, T detail)
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"{what} {detail}");
        foreach (var c in text)
        {
            TraceHash = (TraceHash ^ c) * 1099511628211UL;
        }

        TraceHash = (TraceHash ^ (ulong)Now) * 1099511628211UL;
        if (keepTrace)
        {
            _trace.Add(string.Create(CultureInfo.InvariantCulture, $"{Now - 1_800_000_000_000,12} {text}"));
        }
    }

    /// <summary>Runs until <paramref name="done"/>; false if time or steps run out first.</summary>
    public bool Run(Func<bool> done, long until, long maxSteps)
    {
        while (!done())
        {
            if (!_queue.TryDequeue(out var action, out var key) || key.Due > until || ++Steps > maxSteps)
            {
                return false;
            }

            Now = Math.Max(Now, key.Due);
            action();
            AfterStep?.Invoke();
        }

        return true;
    }
}
